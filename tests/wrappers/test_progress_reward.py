"""ProgressReward: an action is paid if less of the demonstration is needed after it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from pivot_envs.core import Effect, PivotEnv
from pivot_envs.drill import DrillEnv, DrillTask
from pivot_envs.errors import InfraError, SnapshotError, UnsavableError
from pivot_envs.snapshot import Snapshot
from pivot_envs.tools import ToolCall
from wrappers import (
    Pivot,
    PivotResetWrapper,
    ProgressReward,
    RememberedSteps,
    StepMemory,
    read_pivots,
    write_pivots,
)

LOOK = ToolCall("look", {}).as_text()
TASK = "click-checkboxes#1"


def answer(text: str) -> str:
    return ToolCall("answer", {"text": text}).as_text()


def pivot_of(env: gym.Env[str, str], rest: tuple[str, ...]) -> Pivot:
    """Return the present state as a pivot, with the first action of ``rest`` taken there."""
    core = env.unwrapped
    assert isinstance(core, PivotEnv)
    snapshot = core.snapshot()
    env.step(rest[0])
    return Pivot("p", "t", snapshot.elapsed_turns, snapshot, rest[0], core.effect(), "x", rest=rest)


def drill_pivot() -> Pivot:
    env = gym.make("pivot/Drill-v0", max_turns=4)
    _, info = env.reset(seed=0)
    return pivot_of(env, (LOOK, answer(DrillTask.from_id(info["task_id"]).solution)))


def rewarded(
    pivot: Pivot, action: str, make_env: Any = None, **settings: bool
) -> tuple[float, dict[str, Any]]:
    inner = gym.make("pivot/Drill-v0", max_turns=4) if make_env is None else make_env()
    env = ProgressReward(PivotResetWrapper(inner, [pivot]), **settings)
    try:
        env.reset(seed=0)
        _, reward, terminated, truncated, info = env.step(action)
        assert terminated or truncated
        assert env.messages[-2].content == action
        with pytest.raises(gym.error.ResetNeeded):
            env.step(action)
        return float(reward), info
    finally:
        env.close()


def test_the_demonstrated_action_is_paid() -> None:
    reward, info = rewarded(drill_pivot(), LOOK)
    assert (reward, info["is_success"], info["undecided"]) == (1.0, True, False)


def test_what_solves_the_task_at_once_is_paid() -> None:
    pivot = drill_pivot()
    assert rewarded(pivot, pivot.rest[1])[0] == 1.0


@pytest.mark.parametrize(
    "action", [answer("wrong"), "no call", '{"name": "jump", "arguments": {}}']
)
def test_what_ends_in_failure_or_is_no_call_is_not_paid(action: str) -> None:
    assert rewarded(drill_pivot(), action)[0] == 0.0


def test_without_turns_for_the_rest_nothing_is_paid() -> None:
    pivot = drill_pivot()
    reward, info = rewarded(pivot, LOOK, lambda: gym.make("pivot/Drill-v0", max_turns=1))
    assert (reward, info["infra_error"]) == (0.0, None)


def test_a_pivot_whose_rest_is_unknown_decides_nothing() -> None:
    reward, info = rewarded(replace(drill_pivot(), rest=()), LOOK)
    assert (reward, info["undecided"]) == (0.0, True)


def test_other_starts_keep_their_rewards() -> None:
    pivot = drill_pivot()
    env = ProgressReward(PivotResetWrapper(gym.make("pivot/Drill-v0", max_turns=4), [pivot]))
    env.reset(options={"task_id": pivot.snapshot.task_id})
    assert env.step(LOOK)[1:4] == (0.0, False, False)
    assert env.step(pivot.rest[1])[1:3] == (1.0, True)


def test_it_refuses_environments_without_pivots() -> None:
    with pytest.raises(ValueError, match="PivotResetWrapper"):
        ProgressReward(gym.make("pivot/Drill-v0"))


def test_the_rest_is_kept_in_files(tmp_path: Path) -> None:
    pivot = drill_pivot()
    write_pivots(tmp_path / "pivots.jsonl", [pivot])
    assert read_pivots(tmp_path / "pivots.jsonl") == (pivot,)


def reached(pivot: Pivot, action: str, make_env: Any = None) -> tuple[float, Pivot | None]:
    reward, info = rewarded(pivot, action, make_env, keeps_reached=True)
    assert info["infra_error"] is None
    return reward, info["reached"]


def test_the_state_after_a_paid_action_is_a_pivot_itself() -> None:
    pivot = drill_pivot()
    reward, after = reached(pivot, LOOK)
    assert reward == 1.0
    assert after is not None
    assert (after.turn, after.rest, after.demonstration) == (1, pivot.rest[1:], pivot.rest[1])
    assert (after.tool, after.effect.terminated) == ("answer", True)
    assert [message.content for message in after.snapshot.messages][1] == LOOK
    assert rewarded(after, after.rest[0])[0] == 1.0
    assert "reached" not in rewarded(pivot, LOOK)[1]


def test_the_state_after_a_detour_needs_what_was_needed_before() -> None:
    pivot = replace(drill_pivot(), rest=drill_pivot().rest[1:])
    for detour in (LOOK, "no call"):
        reward, after = reached(pivot, detour)
        assert reward == 0.0
        assert after is not None
        assert (after.turn, after.rest) == (1, pivot.rest)
        assert rewarded(after, after.rest[0])[0] == 1.0
        # The same detour once more is paid no more than the first.
        assert rewarded(after, detour)[0] == 0.0


def test_a_reached_state_asks_for_nothing_that_is_needed_no_more() -> None:
    pivot = drill_pivot()
    reward, after = reached(replace(pivot, rest=(LOOK, LOOK, pivot.rest[1])), LOOK)
    assert reward == 1.0
    assert after is not None
    assert after.rest == pivot.rest[1:]


def test_nothing_is_reached_where_the_task_is_over_or_no_turn_is_left() -> None:
    pivot = drill_pivot()
    assert reached(pivot, pivot.rest[1]) == (1.0, None)
    assert reached(pivot, answer("wrong")) == (0.0, None)
    short = replace(pivot, rest=(LOOK, LOOK, LOOK, pivot.rest[1]))
    assert reached(short, "no call") == (0.0, None)


class Flaky(DrillEnv):
    """Fails to save, to restore or to be read, once it is told to."""

    fails: tuple[str, Exception] | None = None

    def _fail(self, what: str) -> None:
        if self.fails is not None and self.fails[0] == what:
            raise self.fails[1]

    def snapshot(self) -> Snapshot:
        self._fail("snapshot")
        return super().snapshot()

    def effect(self) -> Effect:
        self._fail("effect")
        return super().effect()

    def _load(self, *arguments: Any) -> None:
        self._fail("load")
        super()._load(*arguments)


def flaky(what: str, error: Exception) -> tuple[float, dict[str, Any]]:
    """Take a paid action in an environment that fails afterwards."""
    core = Flaky(max_turns=4)
    _, info = core.reset(seed=0)
    rest = (LOOK, answer(DrillTask.from_id(info["task_id"]).solution))
    env = ProgressReward(PivotResetWrapper(core, [pivot_of(core, rest)]), keeps_reached=True)
    env.reset(seed=0)
    core.fails = (what, error)
    _, reward, _, truncated, info = env.step(LOOK)
    assert truncated
    return float(reward), info


def test_without_failures_the_flaky_environment_keeps_its_state() -> None:
    reward, info = flaky("nothing", ValueError())
    assert (reward, info["infra_error"]) == (1.0, None)
    assert info["reached"] is not None


@pytest.mark.parametrize(
    ("what", "error"),
    [("snapshot", UnsavableError("a socket")), ("load", SnapshotError("it came back different"))],
)
def test_a_state_that_cannot_come_back_is_not_kept_and_the_reward_stands(
    what: str, error: Exception
) -> None:
    reward, info = flaky(what, error)
    assert (reward, info["is_success"], info["infra_error"]) == (1.0, True, None)
    assert info["reached"] is None


@pytest.mark.parametrize("what", ["load", "effect"])
def test_where_the_machinery_fails_nothing_is_paid(what: str) -> None:
    reward, info = flaky(what, InfraError("the box is gone"))
    assert (reward, info["is_success"], info["reached"]) == (0.0, False, None)
    assert info["infra_error"] == "InfraError: the box is gone"


def test_reached_states_are_remembered_with_the_action_that_led_there() -> None:
    pivot = drill_pivot()
    inner = PivotResetWrapper(gym.make("pivot/Drill-v0", max_turns=4), [pivot])
    env = RememberedSteps(ProgressReward(inner, keeps_reached=True), StepMemory())
    env.reset(seed=0)
    after = env.step(LOOK)[4]["reached"]
    env.reset(seed=0)
    assert env.step(LOOK)[4]["reached"] is after
    for _ in range(2):
        assert env.reset(options={"pivot": after})[1]["pivot_id"] == after.pivot_id
        assert env.step(after.rest[0])[1] == 1.0


def make_page() -> gym.Env[str, str]:
    return gym.make("pivot/Web-v0", suite="miniwob", tasks=[TASK], max_turns=8)


def page_pivot() -> tuple[Pivot, str]:
    """Return the beginning of a page of boxes, all of which are needed, and one that is not."""
    env = make_page()
    try:
        page, _ = env.reset(seed=0)
        wanted = page.partition("Select ")[2].partition(" and click")[0].split(", ")
        boxes = {
            line.partition('"')[2].rstrip('"'): int(line[1:].partition("]")[0])
            for line in page.splitlines()
            if "checkbox" in line
        }
        submit = int(next(line for line in page.splitlines() if '"Submit"' in line)[1:2])
        refs = [boxes[name] for name in wanted] + [submit]
        other = next(ref for name, ref in boxes.items() if name not in wanted)
        rest = tuple(ToolCall("click", {"ref": ref}).as_text() for ref in refs)
        return pivot_of(env, rest), ToolCall("click", {"ref": other}).as_text()
    finally:
        env.close()


@pytest.mark.web
def test_another_order_is_paid_and_what_must_be_undone_or_idles_is_not() -> None:
    pivot, wrong = page_pivot()
    assert len(pivot.rest) >= 3
    assert rewarded(pivot, pivot.rest[0], make_page)[0] == 1.0
    assert rewarded(pivot, pivot.rest[1], make_page)[0] == 1.0
    spaced = pivot.rest[1].replace(":", " : ")
    assert rewarded(pivot, spaced, make_page)[0] == 1.0
    assert rewarded(pivot, pivot.rest[-1], make_page)[0] == 0.0
    assert rewarded(pivot, wrong, make_page)[0] == 0.0
    for idle in (ToolCall("press", {"key": "Tab"}), ToolCall("scroll", {"dy": 0})):
        assert rewarded(pivot, idle.as_text(), make_page)[0] == 0.0


@pytest.mark.web
def test_a_reached_page_is_restored_with_what_is_left_to_do_on_it() -> None:
    pivot, wrong = page_pivot()
    reward, after = reached(pivot, pivot.rest[1], make_page)
    assert reward == 1.0
    assert after is not None
    assert after.rest == (pivot.rest[0], *pivot.rest[2:])
    assert rewarded(after, after.rest[0], make_page)[0] == 1.0
    assert rewarded(after, ToolCall("press", {"key": "Tab"}).as_text(), make_page)[0] == 0.0
    # A box too many must be undone, which the demonstration never does.
    assert reached(pivot, wrong, make_page) == (0.0, None)
    _, idled = reached(pivot, ToolCall("press", {"key": "Tab"}).as_text(), make_page)
    assert idled is not None
    assert idled.rest == pivot.rest
