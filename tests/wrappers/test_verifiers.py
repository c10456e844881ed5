"""Verifiers: what an action at a pivot is paid for."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot_envs.core import Effect
from pivot_envs.tools import ToolCall
from wrappers import Attempt, Pivot, Verifier
from wrappers.verifiers import (
    CAREFUL_LADDER,
    VERIFIERS,
    Guarded,
    Ladder,
    Rung,
    falls_short,
    same_action,
    same_effect,
    same_tool,
)

CALL = ToolCall("edit", {"line": 3, "old": "a", "new": "b"})
BEFORE, AFTER = "state 0", "state 1"
CHANGED = Effect(AFTER, frozenset(), terminated=False)


@pytest.fixture
def pivot(drill_snapshot) -> Pivot:
    """A state at which the demonstration edited a line."""
    return Pivot("p", "t", 0, drill_snapshot, CALL.as_text(), CHANGED, "edit")


def attempt(call: ToolCall | None, effect: Effect = CHANGED, error: str | None = None) -> Attempt:
    action = "junk" if call is None else call.as_text()
    return Attempt(action, call, error, effect, BEFORE)


def test_the_same_action_is_the_same_call_however_it_is_written(pivot) -> None:
    spaced = replace(attempt(CALL), action=json.dumps({"name": "edit"}, indent=4))
    assert same_action(pivot, spaced) == 1.0
    assert same_action(pivot, attempt(ToolCall("edit", {**CALL.arguments, "new": "c"}))) == 0.0
    assert same_action(pivot, attempt(None)) == 0.0


def test_the_same_tool_is_enough_for_the_name(pivot) -> None:
    other = ToolCall("edit", {"line": 9, "old": "x", "new": "y"})
    assert same_tool(pivot, attempt(other)) == 1.0
    assert same_tool(pivot, attempt(ToolCall("view", {}))) == 0.0
    assert same_tool(pivot, attempt(None)) == 0.0


def test_the_same_effect_is_paid_whatever_the_call(pivot) -> None:
    assert same_effect(pivot, attempt(ToolCall("bash", {"command": "sed"}))) == 1.0
    other = Effect("state 2", frozenset(), terminated=False)
    assert same_effect(pivot, attempt(CALL, other)) == 0.0


def test_a_demonstration_without_a_visible_effect_is_undecided(pivot) -> None:
    silent = replace(pivot, effect=Effect(BEFORE, frozenset(), terminated=False))
    assert same_effect(silent, attempt(CALL, silent.effect)) is None


@pytest.mark.parametrize(
    ("effect", "error"),
    [
        (CHANGED, "old must occur once"),
        (Effect(BEFORE, frozenset({"app.py:3"}), terminated=False), None),
        (Effect(AFTER, frozenset(), terminated=True), None),
    ],
    ids=["refused", "leaves the state", "ends the episode"],
)
def test_what_falls_short_is_paid_by_no_guarded_verifier(pivot, effect, error) -> None:
    short = attempt(CALL, effect, error)
    assert falls_short(pivot, short) == 0.0
    for verifier in VERIFIERS.values():
        assert Guarded(verifier)(pivot, short) == 0.0


def test_a_guarded_verifier_judges_the_rest_itself(pivot) -> None:
    assert falls_short(pivot, attempt(CALL)) is None
    assert Guarded(same_tool)(pivot, attempt(CALL)) == 1.0
    assert Guarded(same_action)(pivot, attempt(ToolCall("edit", {}))) == 0.0


def constant(reward: float | None) -> Verifier:
    return lambda pivot, attempt: reward


@pytest.mark.parametrize(
    ("rungs", "expected"),
    [
        ([], None),
        ([Rung(constant(None)), Rung(constant(0.5))], 0.5),
        ([Rung(constant(0.0), rejects=False), Rung(constant(1.0))], 1.0),
        ([Rung(constant(1.0), accepts=False), Rung(constant(0.0))], 0.0),
        ([Rung(constant(0.5), rejects=False)], None),
        ([Rung(constant(1.0), rejects=False), Rung(constant(0.0))], 1.0),
    ],
)
def test_the_first_final_verdict_counts(pivot, rungs, expected) -> None:
    assert Ladder(rungs)(pivot, attempt(CALL)) == expected


def test_the_careful_ladder_leaves_another_change_undecided(pivot) -> None:
    other = Effect("state 2", frozenset(), terminated=False)
    assert CAREFUL_LADDER(pivot, attempt(CALL, other)) == 1.0
    assert CAREFUL_LADDER(pivot, attempt(ToolCall("bash", {}), other)) is None
    assert CAREFUL_LADDER(pivot, attempt(ToolCall("bash", {}))) == 1.0
    assert CAREFUL_LADDER(pivot, attempt(None, error="junk")) == 0.0


RUNGS = st.lists(
    st.builds(
        lambda reward, accepts, rejects: Rung(constant(reward), accepts, rejects),
        st.sampled_from([None, 0.0, 0.5, 1.0]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=5,
)


@settings(deadline=None)
@given(rungs=RUNGS, extra=RUNGS)
def test_more_rungs_never_change_a_verdict(rungs, extra) -> None:
    verdict = Ladder(rungs)(None, None)
    if verdict is not None:
        assert Ladder([*rungs, *extra])(None, None) == verdict
