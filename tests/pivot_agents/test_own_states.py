"""Own states: where a failed episode was lost."""

import itertools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot_agents.accounting import TurnCounter
from pivot_agents.own_states import LastPossible, find_own_states
from pivot_agents.policy import Context, ScriptedPolicy
from pivot_agents.pool import EnvPool, Start
from pivot_envs import PivotEnv, ToolSpec
from pivot_envs.core import ToolResult
from pivot_envs.tools import ToolCall

STEPS = 6
GO = ToolSpec("go", "Take a step.", {"type": "object", "properties": {"to": {"type": "string"}}})


class Stairs(PivotEnv):
    """Six steps up; who once steps off cannot reach the top any more."""

    tools = (GO,)

    def __init__(self) -> None:
        super().__init__(max_turns=STEPS)
        self._height, self._fallen = 0, False

    def _begin(self, task_id):
        self._height, self._fallen = 0, False
        return task_id or "stairs", "Climb."

    def _act(self, call):
        self._fallen |= call.arguments.get("to") == "off"
        self._height += 1
        at_top = self._height == STEPS
        success = float(at_top and not self._fallen)
        return ToolResult(f"at {self._height}", reward=success, terminated=at_top)

    def _save(self):
        return {"height": self._height, "fallen": self._fallen}, {}

    def _load(self, task_id, state, blobs):
        self._height, self._fallen = state["height"], state["fallen"]

    def _state_digest(self):
        return json.dumps([self._height, self._fallen])

    def _task_hash(self, task_id):
        return task_id


def go(to: str) -> str:
    return ToolCall("go", {"to": to}).as_text()


def search(possible: list[bool], monotone: bool) -> tuple[int | None, int]:
    """Return what a search finds, and how many states it tried."""
    one, count = LastPossible(len(possible), monotone), 0
    while not one.is_done:
        one.tell(possible[one.state])
        count += 1
    return one.found, count


@settings(deadline=None)
@given(hopeful=st.integers(0, 40), lost=st.integers(0, 40))
def test_bisecting_finds_what_restoring_backwards_finds_in_fewer_tries(hopeful, lost) -> None:
    possible = [True] * hopeful + [False] * lost
    expected = hopeful - 1 if hopeful else None
    assert search(possible, monotone=False) == (expected, lost + bool(hopeful))
    found, tries = search(possible, monotone=True)
    assert found == expected
    assert tries <= (math.log2(len(possible)) + 1 if possible else 0)


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=20))
def test_restoring_backwards_finds_the_last_hopeful_state_of_any_episode(possible) -> None:
    last = max((number for number, one in enumerate(possible) if one), default=None)
    assert search(possible, monotone=False)[0] == last


@pytest.mark.parametrize("monotone", [True, False])
def test_the_pivot_is_the_state_before_the_step_that_lost_the_episode(monotone) -> None:
    def stumble_once(context: Context) -> str:
        turn = len(context.messages) // 2
        falls = context.task_id == "first" and turn == 3 and next(chances)
        return go("off") if falls else go("up")

    chances = itertools.chain([True], itertools.repeat(False))
    counter = TurnCounter()
    with EnvPool(Stairs, 4) as pool:
        starts = [Start(options={"task_id": name}) for name in ("first", "second")]
        (pivot,) = find_own_states(
            pool,
            ScriptedPolicy(stumble_once),
            starts,
            tries=2,
            monotone=monotone,
            counter=counter,
        )
    assert pivot.turn == pivot.snapshot.elapsed_turns == 3
    assert pivot.snapshot.task_id == "first"
    assert (pivot.demonstration, pivot.tool) == (go("up"), "go")
    assert pivot.effect.state_digest == json.dumps([4, False])
    assert pivot.pivot_id == f"{pivot.trajectory_id}@3"
    # Two episodes; then states 2, 4, 3 by bisecting or 5, 4, 3 backwards, with what is left of
    # their six turns, twice each.
    states = (2, 4, 3) if monotone else (5, 4, 3)
    assert counter["profile"].turns == 2 * STEPS + 2 * sum(STEPS - state for state in states)


def test_an_episode_without_hope_gives_no_pivot() -> None:
    with EnvPool(Stairs, 2) as pool:
        assert find_own_states(pool, ScriptedPolicy(lambda _: go("off")), [Start(0)]) == []


def test_an_attempt_that_begins_with_junk_demonstrates_nothing() -> None:
    def junk_first(context: Context) -> str:
        return "junk" if len(context.messages) == 1 else go("up")

    with EnvPool(Stairs, 2) as pool:
        assert find_own_states(pool, ScriptedPolicy(junk_first), [Start(0)]) == []
