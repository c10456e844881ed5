"""RememberedSteps: what was done in a state before is answered from memory."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cloudpickle
import gymnasium as gym
import pytest

from pivot_envs.core import PivotEnv
from pivot_envs.errors import InfraError
from pivot_envs.tools import ToolCall
from wrappers import FunctionalReward, Pivot, PivotResetWrapper, RememberedSteps, StepMemory

LOOK = ToolCall("look", {}).as_text()
WRONG = ToolCall("answer", {"text": "nothing of the kind"}).as_text()


class Counting(gym.Wrapper[str, str, str, str]):
    """Counts what reaches the environment, and fails where it is told to."""

    def __init__(self, env: gym.Env[str, str]) -> None:
        super().__init__(env)
        self.resets = 0
        self.steps = 0
        self.fails = False

    def reset(self, **arguments: Any) -> tuple[str, dict[str, Any]]:
        self.resets += 1
        return self.env.reset(**arguments)

    def step(self, action: str) -> Any:
        self.steps += 1
        *result, info = self.env.step(action)
        if self.fails:
            info = {**info, "infra_error": "BoxError: planted"}
        return *result, info


def counted() -> Counting:
    return Counting(gym.make("pivot/Drill-v0", max_turns=6))


def make_pivots(count: int = 3) -> list[Pivot]:
    env = gym.make("pivot/Drill-v0", max_turns=6)
    core = env.unwrapped
    assert isinstance(core, PivotEnv)
    pivots = []
    for seed in range(count):
        env.reset(seed=seed)
        snapshot = core.snapshot()
        env.step(LOOK)
        pivots.append(Pivot(f"p{seed}", f"t{seed}", 0, snapshot, LOOK, core.effect(), "look"))
    return pivots


def test_the_same_action_at_a_pivot_is_executed_once() -> None:
    inner = counted()
    env = RememberedSteps(FunctionalReward(PivotResetWrapper(inner, make_pivots())), StepMemory())
    results = []
    for _ in range(5):
        results.append((env.reset(options={"pivot_id": "p1"}), env.step(LOOK), env.messages))
    assert (inner.resets, inner.steps) == (1, 1)
    assert all(result == results[0] for result in results)
    assert results[0][1][1] == 1.0
    env.reset(options={"pivot_id": "p1"})
    assert env.step(WRONG)[1] == 0.0
    assert (inner.resets, inner.steps) == (2, 2)


def test_results_are_those_of_the_environment_alone() -> None:
    pivots = make_pivots()

    def bare() -> gym.Env[str, str]:
        return FunctionalReward(PivotResetWrapper(gym.make("pivot/Drill-v0", max_turns=6), pivots))

    expected_env, env = bare(), RememberedSteps(bare(), StepMemory())
    for seed in [*range(8), *range(8)]:
        for action in (LOOK, WRONG, "no call"):
            assert env.reset(seed=seed) == expected_env.reset(seed=seed)
            assert env.step(action) == expected_env.step(action)
            assert env.messages == expected_env.get_wrapper_attr("messages")
            assert env.effect() == expected_env.get_wrapper_attr("effect")()


def test_draws_without_a_seed_go_on_as_without_memory() -> None:
    pivots = make_pivots()
    plain = PivotResetWrapper(gym.make("pivot/Drill-v0"), pivots)
    env = RememberedSteps(PivotResetWrapper(gym.make("pivot/Drill-v0"), pivots), StepMemory())

    def drawn(env: gym.Env[str, str]) -> list[str]:
        first = env.reset(seed=3)[1]["pivot_id"]
        return [first, *(env.reset()[1]["pivot_id"] for _ in range(20))]

    assert drawn(env) == drawn(plain)


def test_a_whole_episode_is_remembered_and_goes_on_where_it_becomes_new() -> None:
    memory, inner = StepMemory(), counted()
    env = RememberedSteps(inner, memory)
    first = [env.reset(seed=5), env.step(LOOK), env.step(LOOK)]
    again = [env.reset(seed=5), env.step(LOOK), env.step(LOOK)]
    assert again == first
    assert (inner.resets, inner.steps) == (1, 2)
    _, reward, terminated, _, info = env.step(WRONG)
    assert (reward, terminated, info["elapsed_turns"]) == (0.0, True, 3)
    # The reset and both looks of this episode were only remembered, and are done now.
    assert (inner.resets, inner.steps) == (2, 5)
    assert (memory.compared, memory.differed) == (1, 0)
    assert len(env.messages) == 7


def test_tasks_that_several_seeds_draw_share_what_is_known() -> None:
    inner = counted()
    env = RememberedSteps(inner, StepMemory())
    task_id = env.reset(seed=5)[1]["task_id"]
    env.step(LOOK)
    assert env.reset(options={"task_id": task_id})[1]["task_id"] == task_id
    env.step(LOOK)
    assert (inner.resets, inner.steps) == (2, 1)


def test_a_snapshot_is_of_the_state_that_was_remembered() -> None:
    inner = counted()
    env = RememberedSteps(inner, StepMemory())
    for _ in range(2):
        env.reset(seed=5)
        env.step(LOOK)
    snapshot = env.snapshot()
    assert snapshot.elapsed_turns == 1
    _, info = env.reset(options={"snapshot": snapshot})
    assert info["elapsed_turns"] == 1
    assert env.step(LOOK)[4]["elapsed_turns"] == 2


def test_what_neither_seed_nor_task_decides_is_executed() -> None:
    inner = counted()
    env = RememberedSteps(inner, StepMemory())
    for _ in range(3):
        env.reset()
        env.step(LOOK)
    assert (inner.resets, inner.steps) == (3, 3)


def test_a_failure_of_the_machinery_is_not_remembered() -> None:
    inner = counted()
    env = RememberedSteps(inner, StepMemory())
    env.reset(seed=1)
    inner.fails = True
    assert env.step(LOOK)[4]["infra_error"]
    inner.fails = False
    env.reset(seed=1)
    assert env.step(LOOK)[4]["infra_error"] is None
    assert inner.steps == 2


def test_a_failure_while_catching_up_is_an_infra_error() -> None:
    inner = counted()
    env = RememberedSteps(inner, StepMemory())
    for _ in range(2):
        env.reset(seed=1)
        env.step(LOOK)
        if inner.fails:
            break
        env.reset(seed=2)
        inner.fails = True
    with pytest.raises(InfraError, match="planted"):
        env.step(WRONG)
    inner.fails = False
    env.reset(seed=1)
    assert env.step(WRONG)[2]


def test_an_environment_that_does_otherwise_is_found_out() -> None:
    class Drifting(Counting):
        def step(self, action: str) -> Any:
            observation, *rest = super().step(action)
            return f"{observation} after {self.steps} steps", *rest

    memory = StepMemory()
    env = RememberedSteps(Drifting(gym.make("pivot/Drill-v0", max_turns=6)), memory)
    for action in (LOOK, WRONG):
        env.reset(seed=1)
        env.step(LOOK)
        env.reset(seed=2)
        env.step(LOOK)
        env.reset(seed=1)
        env.step(LOOK)
        env.step(action)
    assert memory.differed == memory.compared == 2


def test_threads_wait_for_what_another_one_executes() -> None:
    memory, pivots = StepMemory(), make_pivots(1)
    started = threading.Barrier(8)
    inners = [counted() for _ in range(8)]
    envs = [
        RememberedSteps(FunctionalReward(PivotResetWrapper(inner, pivots)), memory)
        for inner in inners
    ]

    def work(env: RememberedSteps) -> Any:
        started.wait(10)
        return env.reset(seed=0), env.step(LOOK)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, envs))
    assert all(result == results[0] for result in results)
    assert sum(inner.steps for inner in inners) == 1
    assert memory.executed == 2
    assert memory.remembered == 14


def test_a_step_needs_a_running_episode() -> None:
    env = RememberedSteps(counted(), StepMemory())
    with pytest.raises(gym.error.ResetNeeded):
        env.step(LOOK)
    for _ in range(2):
        env.reset(seed=0)
        env.step(WRONG)
        with pytest.raises(gym.error.ResetNeeded):
            env.step(LOOK)


def test_the_oldest_result_is_forgotten_first() -> None:
    inner = counted()
    env = RememberedSteps(inner, StepMemory(most_records=2))
    env.reset(seed=0)
    env.step(LOOK)
    env.step(WRONG)
    env.reset(seed=0)
    assert inner.resets == 2
    with pytest.raises(ValueError, match="most_records"):
        StepMemory(most_records=0)


def test_a_copy_in_another_process_begins_empty() -> None:
    memory = StepMemory(most_records=7)
    env = RememberedSteps(counted(), memory)
    env.reset(seed=0)
    copy = cloudpickle.loads(cloudpickle.dumps(memory))
    assert (copy.executed, copy.remembered) == (0, 0)
    assert (memory.executed, memory.remembered) == (1, 0)


def test_an_environment_without_the_contract_is_refused() -> None:
    with pytest.raises(ValueError, match="PivotEnv"):
        RememberedSteps(gym.make("CartPole-v1"), StepMemory())  # type: ignore[arg-type]


def test_what_is_remembered_cannot_be_changed_from_outside() -> None:
    env = RememberedSteps(counted(), StepMemory())
    _, info = env.reset(seed=0)
    before = json.dumps(info)
    info["task_id"] = "another"
    assert json.dumps(env.reset(seed=0)[1]) == before


def test_what_is_done_at_a_pivot_that_was_brought_along_is_remembered() -> None:
    pivots, inner = make_pivots(), counted()
    env = RememberedSteps(FunctionalReward(PivotResetWrapper(inner, pivots[:1])), StepMemory())
    results = []
    for _ in range(3):
        results.append((env.reset(options={"pivot": pivots[2]}), env.step(LOOK)))
    assert (inner.resets, inner.steps) == (1, 1)
    assert all(result == results[0] for result in results)
    assert results[0][0][1]["pivot_id"] == "p2"
    env.reset(options={"pivot": pivots[2]})
    assert env.step(WRONG)[1] == 0.0
