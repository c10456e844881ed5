"""RecordTrajectory: keeping what happens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from pivot_envs.core import PivotEnv
from pivot_envs.drill import DrillEnv
from pivot_envs.errors import InfraError
from pivot_envs.tools import ToolCall
from pivot_envs.trajectory import read_trajectories, write_trajectories
from wrappers import RecordTrajectory

LOOK = ToolCall("look", {}).as_text()
ANSWER = ToolCall("answer", {"text": "?"}).as_text()


class UnreadableEnv(DrillEnv):
    """Cannot be saved."""

    def _save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        raise InfraError("the box is gone")

    def _state_digest(self) -> str:
        raise InfraError("the box is gone")


def test_an_episode_becomes_a_trajectory() -> None:
    env = RecordTrajectory(gym.make("pivot/Drill-v0", size=2))
    question, info = env.reset(seed=3)
    seen = env.step(LOOK)[0]
    last, reward, terminated, truncated, last_info = env.step(ANSWER)
    (trajectory,) = env.trajectories
    assert trajectory.env_id == "pivot/Drill-v0"
    assert trajectory.env_kwargs == {"size": 2}
    assert (trajectory.task_id, trajectory.seed) == (info["task_id"], 3)
    assert [turn.action for turn in trajectory.transitions] == [LOOK, ANSWER]
    assert [turn.observation for turn in trajectory.transitions] == [question, seen]
    end = trajectory.transitions[-1]
    assert (end.next_observation, end.reward, end.terminated) == (last, reward, terminated)
    assert (end.truncated, end.info) == (truncated, last_info)
    assert (end.snapshot, end.effect) == (None, None)


def test_snapshots_and_effects_are_kept_on_request() -> None:
    env = RecordTrajectory(gym.make("pivot/Drill-v0"), snapshots=True)
    env.reset(seed=0)
    env.step(LOOK)
    env.step(LOOK)
    core = env.unwrapped
    assert isinstance(core, PivotEnv)
    (trajectory,) = env.trajectories
    first, second = trajectory.transitions
    assert first.snapshot is not None
    assert second.snapshot is not None
    assert [first.snapshot.elapsed_turns, second.snapshot.elapsed_turns] == [0, 1]
    assert second.effect == core.effect()
    env.reset(options={"snapshot": first.snapshot})
    env.step(LOOK)
    assert core.effect() == first.effect


def test_episodes_that_are_broken_off_are_kept_and_empty_ones_are_not() -> None:
    env = RecordTrajectory(DrillEnv())
    assert env.trajectories == ()
    env.reset(seed=0)
    env.reset(seed=0)
    env.step(LOOK)
    env.reset(seed=1)
    env.step(ANSWER)
    env.reset(seed=2)
    assert [len(trajectory.transitions) for trajectory in env.trajectories] == [1, 1]
    assert [trajectory.env_id for trajectory in env.trajectories] == ["DrillEnv", "DrillEnv"]


def test_ids_tell_equal_episodes_apart_and_repeat_with_the_run() -> None:
    def recorded() -> list[str]:
        env = RecordTrajectory(DrillEnv())
        for seed in (0, 0, 1):
            env.reset(seed=seed)
            env.step(ANSWER)
        return [trajectory.trajectory_id for trajectory in env.trajectories]

    assert recorded() == recorded()
    assert len(set(recorded())) == 3


def test_a_state_that_cannot_be_read_is_left_out() -> None:
    env = RecordTrajectory(UnreadableEnv(), snapshots=True)
    env.reset(seed=0)
    env.step(LOOK)
    (turn,) = env.trajectories[0].transitions
    assert (turn.snapshot, turn.effect) == (None, None)


def test_what_is_recorded_can_be_written(tmp_path: Path) -> None:
    env = RecordTrajectory(
        gym.wrappers.RecordEpisodeStatistics(gym.make("pivot/Drill-v0")), snapshots=True
    )
    for seed in range(3):
        env.reset(seed=seed)
        env.step(LOOK)
        env.step(ANSWER)
    write_trajectories(tmp_path / "episodes.jsonl", env.trajectories)
    again = read_trajectories(tmp_path / "episodes.jsonl")
    assert [each.trajectory_id for each in again] == [e.trajectory_id for e in env.trajectories]
    assert [each.transitions[1].snapshot for each in again] == [
        each.transitions[1].snapshot for each in env.trajectories
    ]


def test_it_needs_a_pivot_env_at_the_core() -> None:
    with pytest.raises(ValueError, match="needs a PivotEnv at the core"):
        RecordTrajectory(gym.make("CartPole-v1"))


def test_the_spec_of_the_wrapped_environment_works() -> None:
    env = gym.wrappers.TimeLimit(RecordTrajectory(gym.make("pivot/Drill-v0")), 3)
    assert env.spec is not None
    assert isinstance(gym.make(env.spec).get_wrapper_attr("trajectories"), tuple)
