"""PivotEnv: what every environment gets from the base class."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import pytest

from pivot_envs.core import Effect, PivotEnv, ToolResult
from pivot_envs.drill import DrillEnv
from pivot_envs.errors import InfraError, SnapshotError
from pivot_envs.tools import ToolCall

LOOK = ToolCall("look", {}).as_text()


class FailingEnv(DrillEnv):
    """Fails in its machinery whenever it is looked at, and at the end."""

    def _act(self, call: ToolCall) -> ToolResult:
        raise InfraError("the box is gone")


class GradedEnv(DrillEnv):
    """Grades unfinished episodes."""

    def _score_unfinished(self) -> tuple[float, str | None]:
        return 1.0, None


class FixedEnv(DrillEnv):
    """Declares a constructor argument as part of its states' meaning."""

    def _snapshot_kwargs(self) -> Mapping[str, Any]:
        return {"sizes": (self._size,)}


class EchoEnv(DrillEnv):
    """Shows what cannot be encoded."""

    def _act(self, call: ToolCall) -> ToolResult:
        return ToolResult("\ud800")


def test_stepping_before_a_reset_is_refused() -> None:
    with pytest.raises(gym.error.ResetNeeded):
        DrillEnv().step(LOOK)


def test_the_environment_owns_its_horizon() -> None:
    env = DrillEnv(max_turns=2)
    _, info = env.reset(seed=0)
    assert info["elapsed_turns"] == 0
    assert env.step(LOOK)[2:4] == (False, False)
    assert env.step(LOOK)[2:4] == (False, True)
    assert not env.is_running
    with pytest.raises(gym.error.ResetNeeded):
        env.step(LOOK)


def test_a_resumed_episode_keeps_its_horizon() -> None:
    env = DrillEnv(max_turns=3)
    env.reset(seed=0)
    env.step(LOOK)
    snapshot = env.snapshot()
    _, info = env.reset(options={"snapshot": snapshot})
    assert info["elapsed_turns"] == 1
    assert [env.step(LOOK)[3] for _ in range(2)] == [False, True]


def test_a_resumed_episode_shows_where_it_was() -> None:
    env = DrillEnv()
    env.reset(seed=0)
    seen = env.step(LOOK)[0]
    messages = env.messages
    snapshot = env.snapshot()
    other = DrillEnv(max_turns=9)
    observation, info = other.reset(options={"snapshot": snapshot})
    assert (observation, other.messages, other.task_id) == (seen, messages, env.task_id)
    assert info["task_id"] == env.task_id


def test_a_bad_action_costs_a_turn_and_says_why() -> None:
    env = DrillEnv()
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step("look")
    assert observation.startswith("error: expected one tool call as JSON")
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info["action_error"] in observation
    assert info["elapsed_turns"] == 1


def test_a_failure_of_the_machinery_truncates_and_is_named() -> None:
    env = FailingEnv()
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(LOOK)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["infra_error"] == "InfraError: the box is gone"
    assert not info["is_success"]


def test_an_unfinished_episode_can_be_graded() -> None:
    env = GradedEnv(max_turns=1)
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(LOOK)
    assert (reward, terminated, truncated, info["is_success"]) == (1.0, False, True, True)


def test_an_observation_can_always_be_encoded() -> None:
    env = EchoEnv()
    env.reset(seed=0)
    assert env.step(LOOK)[0] == "?"
    assert env.messages[-1].content == "?"


def test_the_effect_tells_state_facts_and_end() -> None:
    env = DrillEnv(family="reverse", size=2)
    env.reset(options={"task_id": "reverse-2-1"})
    start = env.effect()
    seen = env.step(LOOK)[0]
    looked = env.effect()
    assert looked.facts == {seen}
    assert looked.state_digest != start.state_digest
    assert not looked.terminated
    env.step(ToolCall("answer", {"text": "1"}).as_text())
    assert env.effect().terminated


def test_an_effect_covers_an_equal_one_that_shows_less() -> None:
    less = Effect("a", frozenset({"1"}), False)
    more = Effect("a", frozenset({"1", "2"}), False)
    assert more.covers(less)
    assert less.covers(less)
    assert not less.covers(more)
    assert not Effect("b", frozenset({"1", "2"}), False).covers(less)
    assert not Effect("a", frozenset({"1", "2"}), True).covers(less)


@pytest.mark.parametrize(
    "options", [{"seed": 1}, {"snapshot": None, "task_id": "lookup-4-1"}, {7: 1}]
)
def test_unknown_or_contradicting_options_are_refused(options: dict[Any, Any]) -> None:
    with pytest.raises(ValueError, match="options must be one of"):
        DrillEnv().reset(options=options)


def test_a_snapshot_needs_a_running_episode() -> None:
    env = DrillEnv(max_turns=1)
    with pytest.raises(SnapshotError, match="no episode is running"):
        env.snapshot()
    env.reset(seed=0)
    env.step(LOOK)
    with pytest.raises(SnapshotError, match="no episode is running"):
        env.snapshot()


def test_a_snapshot_without_a_turn_left_is_refused() -> None:
    env = DrillEnv()
    env.reset(seed=0)
    env.step(LOOK)
    with pytest.raises(SnapshotError, match="no turn would be left"):
        DrillEnv(max_turns=1).reset(options={"snapshot": env.snapshot()})


def test_a_snapshot_made_with_other_arguments_is_refused() -> None:
    env = FixedEnv(size=2)
    env.reset(seed=0)
    snapshot = env.snapshot()
    FixedEnv(size=2).reset(options={"snapshot": snapshot})
    with pytest.raises(SnapshotError, match="make it with the same arguments"):
        FixedEnv(size=3).reset(options={"snapshot": snapshot})


def test_a_refused_snapshot_leaves_the_running_episode_alone() -> None:
    env = DrillEnv()
    env.reset(seed=0)
    with pytest.raises(SnapshotError, match="must be a Snapshot, got dict"):
        env.reset(options={"snapshot": {}})
    assert env.step(LOOK)[4]["elapsed_turns"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"max_turns": 0}, "max_turns must be at least 1"), ({"render_mode": "x"}, "render_mode")],
)
def test_wrong_constructor_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DrillEnv(**arguments)


def test_a_made_environment_names_its_snapshots_by_its_id() -> None:
    env = gym.make("pivot/Drill-v0")
    env.reset(seed=0)
    core = env.unwrapped
    assert isinstance(core, PivotEnv)
    snapshot = core.snapshot()
    assert snapshot.env_id == "pivot/Drill-v0"
    with pytest.raises(SnapshotError, match="belongs to pivot/Drill-v0, this environment is Drill"):
        DrillEnv().reset(options={"snapshot": snapshot})
