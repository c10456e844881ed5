"""Needed actions: what a demonstration's success depends on."""

import gymnasium as gym
import pytest

from pivot_agents.needed import find_needed, needed_candidates
from pivot_agents.policy import Context, ScriptedPolicy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_envs.drill import DrillTask
from pivot_envs.errors import InfraError
from pivot_envs.tools import ToolCall
from pivot_envs.trajectory import Trajectory

LOOK = ToolCall("look", {}).as_text()


def make_drill() -> gym.Env[str, str]:
    return gym.make("pivot/Drill-v0", size=2, max_turns=6, disable_env_checker=True)


def demonstrate(pool: EnvPool, actions: int, *, right: bool = True) -> list[Trajectory]:
    """Look as often as to have ``actions`` with the answer."""

    def expert(context: Context) -> str:
        if len(context.messages) < 2 * actions - 1:
            return LOOK
        text = DrillTask.from_id(context.task_id).solution if right else "wrong"
        return ToolCall("answer", {"text": text}).as_text()

    starts = [Start(seed) for seed in range(3)]
    return rollout(pool, ScriptedPolicy(expert), starts, record_snapshots=True)


def test_what_success_does_not_depend_on_is_not_needed() -> None:
    with EnvPool(make_drill, 2) as pool:
        assert find_needed(demonstrate(pool, 3), pool) == [(2,), (2,), (2,)]


def test_what_failed_needs_nothing() -> None:
    with EnvPool(make_drill, 2) as pool:
        failed = demonstrate(pool, 3, right=False)
        assert find_needed(failed, pool) == [(), (), ()]
        assert needed_candidates(failed, pool) == []
        assert find_needed([], pool) == []


def test_what_does_not_succeed_again_needs_nothing() -> None:
    with EnvPool(make_drill, 2) as pool:
        demonstrations = demonstrate(pool, 3)
    with EnvPool(lambda: gym.make("pivot/Drill-v0", size=2, max_turns=2), 2) as pool:
        assert find_needed(demonstrations, pool) == [(), (), ()]


class Flaky(gym.Wrapper):
    """Loses its machinery at some of its steps."""

    steps = 0
    lost: tuple[int, ...] = ()

    def step(self, action: str):
        Flaky.steps += 1
        if Flaky.steps in self.lost or -1 in self.lost:
            raise InfraError("the box is gone")
        return self.env.step(action)


@pytest.mark.parametrize("lost", [1, 3, 4, 6])
def test_what_the_machinery_loses_is_tried_again(monkeypatch, lost) -> None:
    with EnvPool(make_drill, 1) as pool:
        demonstrations = demonstrate(pool, 3)[:1]
    monkeypatch.setattr(Flaky, "steps", 0)
    monkeypatch.setattr(Flaky, "lost", (lost,))
    with EnvPool(lambda: Flaky(make_drill()), 1) as pool:
        assert find_needed(demonstrations, pool) == [(2,)]


def test_machinery_that_stays_down_says_nothing_of_what_is_needed(monkeypatch) -> None:
    with EnvPool(make_drill, 1) as pool:
        demonstrations = demonstrate(pool, 3)
    monkeypatch.setattr(Flaky, "lost", (-1,))
    with (
        EnvPool(lambda: Flaky(make_drill()), 1) as pool,
        pytest.raises(InfraError, match=r"in 3 tries: InfraError: the box is gone"),
    ):
        find_needed(demonstrations, pool)


def test_candidates_are_the_states_before_needed_actions() -> None:
    counts: list[int] = []
    with EnvPool(make_drill, 2) as pool:
        demonstrations = demonstrate(pool, 3)
        candidates = needed_candidates(demonstrations, pool, on_episode=counts.append)
    assert [one.turn for one in candidates] == [2, 2, 2]
    assert [one.rest for one in candidates] == [
        (one.transitions[2].action,) for one in demonstrations
    ]
    assert counts == [3, 3, 3]


@pytest.mark.web
def test_detours_on_a_page_are_not_needed() -> None:
    def make_env() -> gym.Env[str, str]:
        return gym.make(
            "pivot/Web-v0",
            suite="miniwob",
            tasks=["click-option#3"],
            max_turns=8,
            timeout_s=60.0,
        )

    def expert(context: Context) -> str:
        wanted = context.messages[0].content.partition("Select ")[2].split(" and ")[0]
        lines = context.messages[-1].content.splitlines()
        ref = next(line for line in lines if f'radio "{wanted}"' in line)[1:].partition("]")[0]
        submit = next(line for line in lines if "Submit" in line and "[" in line)
        script = [
            ToolCall("press", {"key": "Tab"}),
            ToolCall("click", {"ref": int(ref)}),
            ToolCall("scroll", {"dy": 5}),
            ToolCall("click", {"ref": int(submit.partition("[")[2].partition("]")[0])}),
        ]
        return script[len(context.messages) // 2].as_text()

    with EnvPool(make_env, 1) as pool:
        starts = [Start(options={"task_id": "click-option#3"})]
        demonstrations = rollout(pool, ScriptedPolicy(expert), starts, record_snapshots=True)
        assert demonstrations[0].is_success
        candidates = needed_candidates(demonstrations, pool)
    assert [one.turn for one in candidates] == [1, 3]
    assert [len(one.rest) for one in candidates] == [2, 1]
