"""PivotResetWrapper: episodes that start at pivots."""

from typing import Any

import gymnasium as gym
import pytest

from pivot_envs.core import PivotEnv
from pivot_envs.errors import SnapshotError
from pivot_envs.testing import check_pivot_env
from pivot_envs.tools import ToolCall
from wrappers import Pivot, PivotResetWrapper

LOOK = ToolCall("look", {}).as_text()


def make_pivots(count: int = 4) -> list[Pivot]:
    env = gym.make("pivot/Drill-v0")
    core = env.unwrapped
    assert isinstance(core, PivotEnv)
    pivots = []
    for seed in range(count):
        env.reset(seed=seed)
        env.step(LOOK)
        snapshot = core.snapshot()
        env.step(LOOK)
        pivots.append(Pivot(f"p{seed}", f"t{seed}", 1, snapshot, LOOK, core.effect(), "look"))
    return pivots


def make_env(pivots: list[Pivot], **arguments: Any) -> PivotResetWrapper:
    return PivotResetWrapper(gym.make("pivot/Drill-v0"), pivots, **arguments)


def test_an_episode_starts_at_a_pivot() -> None:
    pivots = make_pivots()
    env = make_env(pivots)
    assert env.pivot is None
    observation, info = env.reset(seed=0)
    assert env.pivot in pivots
    assert observation == env.pivot.snapshot.observation
    assert info["elapsed_turns"] == 1
    assert info["pivot_id"] == env.pivot.pivot_id
    assert info["pivot_turn"] == 1
    assert info["trajectory_id"] == env.pivot.trajectory_id
    assert info["task_id"] == env.pivot.snapshot.task_id


def test_what_is_chosen_is_where_a_reset_starts() -> None:
    env, other = make_env(make_pivots()), make_env(make_pivots())
    for seed in (5, None, None, 6):
        chosen = other.choose(seed=seed)
        assert chosen is not None
        assert env.reset(seed=seed)[1]["pivot_id"] == chosen.pivot_id
    assert other.choose(options={"pivot_id": "p2"}) == make_pivots()[2]
    assert other.choose(options={"task_id": "lookup-6-0"}) is None
    assert other.pivot is None


def test_the_same_seed_draws_the_same_pivots() -> None:
    env, other = make_env(make_pivots()), make_env(make_pivots())

    def drawn(env: PivotResetWrapper, seed: int) -> list[str]:
        ids = [env.reset(seed=seed)[1]["pivot_id"]]
        return ids + [env.reset()[1]["pivot_id"] for _ in range(30)]

    assert drawn(env, 1) == drawn(other, 1) == drawn(env, 1)
    assert drawn(env, 1) != drawn(env, 2)
    assert set(drawn(env, 3)) == {"p0", "p1", "p2", "p3"}


def test_weights_make_pivots_more_or_less_likely() -> None:
    env = make_env(make_pivots(3), weights=[0, 1, 3])
    env.reset(seed=0)
    drawn = [env.reset()[1]["pivot_id"] for _ in range(200)]
    assert "p0" not in drawn
    assert 120 < drawn.count("p2") < 180


def test_a_pivot_can_be_named() -> None:
    env = make_env(make_pivots())
    assert env.reset(options={"pivot_id": "p2"})[1]["pivot_id"] == "p2"
    with pytest.raises(ValueError, match="unknown pivot_id 'p9'; this wrapper has 4 pivots"):
        env.reset(options={"pivot_id": "p9"})
    with pytest.raises(ValueError, match="goes with no other option"):
        env.reset(options={"pivot_id": "p2", "task_id": "lookup-4-1"})
    assert env.pivot is None


def test_empty_options_draw_a_pivot() -> None:
    assert "pivot_id" in make_env(make_pivots()).reset(options={})[1]


def test_other_options_go_to_the_environment() -> None:
    env = make_env(make_pivots())
    env.reset()
    _, info = env.reset(options={"task_id": "lookup-4-1"})
    assert (info["task_id"], info["elapsed_turns"]) == ("lookup-4-1", 0)
    assert "pivot_id" not in info
    assert env.pivot is None
    with pytest.raises(ValueError, match="options must be one of"):
        env.reset(options={"no such option": 1})


def test_a_time_limit_makes_the_local_rollout() -> None:
    env = gym.wrappers.TimeLimit(make_env(make_pivots()), 2)
    for _ in range(2):
        env.reset()
        assert [env.step(LOOK)[3] for _ in range(2)] == [False, True]


def test_the_environment_keeps_its_own_horizon() -> None:
    env = gym.wrappers.TimeLimit(make_env(make_pivots()), 100)
    env.reset()
    assert [env.step(LOOK)[3] for _ in range(3)] == [False, False, True]


def test_a_foreign_pivot_is_refused_and_the_wrapper_stays_usable() -> None:
    env = PivotResetWrapper(gym.make("pivot/Drill-v0", max_turns=1), make_pivots())
    with pytest.raises(SnapshotError, match="no turn would be left"):
        env.reset()
    assert env.pivot is None
    env.reset(options={"task_id": "lookup-4-1"})


def test_no_pivots_and_twins_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one Pivot"):
        make_env([])
    with pytest.raises(ValueError, match="distinct pivot_ids"):
        make_env([*make_pivots(1), *make_pivots(1)])


@pytest.mark.parametrize("weights", [[1], [1, 2, 3], [0, 0], [-1, 2], [float("nan"), 1]])
def test_weights_that_do_not_fit_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights must be"):
        make_env(make_pivots(2), weights=weights)


def test_the_spec_of_a_wrapped_environment_makes_it_again() -> None:
    pivots = make_pivots()
    env = gym.wrappers.TimeLimit(make_env(pivots, weights=[1, 0, 0, 0]), 2)
    assert env.spec is not None
    again = gym.make(env.spec)
    assert again.reset()[1]["pivot_id"] == "p0"


def test_the_wrapped_environment_keeps_the_contract() -> None:
    def make() -> "gym.Env[str, str]":
        env = gym.make("pivot/Drill-v0", max_turns=5)
        return gym.wrappers.TimeLimit(PivotResetWrapper(env, make_pivots()), 5)

    check_pivot_env(make, check_process=False)


def test_a_pivot_can_be_brought_along() -> None:
    pivots = make_pivots()
    env = make_env(pivots[:2])
    assert env.reset(options={"pivot": pivots[3]})[1]["pivot_id"] == "p3"
    assert env.pivot is env.choose(options={"pivot": pivots[3]}) is pivots[3]
    with pytest.raises(TypeError, match="must be a Pivot, got str"):
        env.reset(options={"pivot": "p1"})
    with pytest.raises(ValueError, match="goes with no other option"):
        env.reset(options={"pivot": pivots[3], "pivot_id": "p1"})
    assert env.pivot is None
