"""ReachedStates: groups that begin where the policy's own actions led."""

import json
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot_agents.curriculum import GrowingCurriculum
from pivot_agents.lazy import LazyConfig, LazyProfiler
from pivot_agents.needed import needed_candidates
from pivot_agents.pool import EnvPool
from pivot_agents.reached import ReachedConfig, ReachedStates
from pivot_agents.trainers.policy_gradient import PolicyGradientConfig, PolicyGradientTrainer
from pivot_envs.core import Effect
from pivot_envs.drill import DrillEnv
from pivot_envs.tools import ToolCall
from wrappers import Pivot, PivotResetWrapper, ProgressReward

LOOK = ToolCall("look", {}).as_text()


@pytest.fixture(scope="session")
def states() -> list[Pivot]:
    """States of one episode that looks on and on."""
    env = DrillEnv(max_turns=40)
    env.reset(options={"task_id": "reverse-3-1"})
    found = []
    for turn in range(24):
        effect = Effect("after", frozenset(), terminated=False)
        snapshot = env.snapshot()
        found.append(Pivot(f"s{turn}", "t", turn, snapshot, LOOK, effect, "look", rest=(LOOK,)))
        env.step(LOOK)
    return found


def grown(states: list[Pivot], **settings) -> ReachedStates:
    """Return a curriculum with the first eight states as demonstrated ones."""
    config = ReachedConfig(**settings)
    return ReachedStates(LazyProfiler(states[:8], LazyConfig()), states[:8], config)


def brought(starts) -> list[str]:
    return [one.options["pivot"].pivot_id for one in starts if "pivot" in one.options]


def test_before_anything_is_reached_all_groups_are_the_profilers(states) -> None:
    curriculum = grown(states)
    assert isinstance(curriculum, GrowingCurriculum)
    starts = curriculum.starts(0, 4)
    assert len(starts) == 4
    assert brought(starts) == []


def test_half_of_the_groups_begin_in_reached_states_each_once(states) -> None:
    curriculum = grown(states)
    curriculum.reach(0, [states[8:12], states[10:16]])
    starts = curriculum.starts(1, 8)
    ids = brought(starts)
    assert len(ids) == len(set(ids)) == 4
    assert all("pivot_id" in one.options for one in starts[:4])
    assert set(ids) <= {one.pivot_id for one in states[8:16]}
    assert curriculum.started == 4
    # The profiler hears of its own groups only.
    curriculum.observe(1, [[1.0, 0.0]] * 4 + [[0.0]] * 4)
    assert curriculum.counts()["active"] == 4


def test_what_is_reached_more_often_is_begun_in_more_often(states) -> None:
    curriculum = grown(states, share=0.25)
    curriculum.reach(0, [[states[8]] * 9 + [states[9]]])
    drawn = [brought(curriculum.starts(step, 4))[0] for step in range(200)]
    assert 160 < drawn.count("s8") < 195


def test_a_demonstrated_state_is_left_to_the_profiler(states) -> None:
    curriculum = grown(states)
    curriculum.reach(0, [[replace(states[3], pivot_id="other name")]])
    assert brought(curriculum.starts(1, 8)) == []


def test_what_is_not_reached_again_is_forgotten(states) -> None:
    curriculum = grown(states, kept_steps=2)
    curriculum.reach(0, [[states[8], states[9]]])
    curriculum.reach(1, [[states[9]]])
    assert len(brought(curriculum.starts(2, 8))) == 2
    curriculum.reach(2, [])
    assert brought(curriculum.starts(3, 8)) == ["s9"]
    curriculum.reach(3, [])
    assert brought(curriculum.starts(4, 8)) == []


def test_with_a_share_of_one_the_profiler_rests_once_enough_is_reached(states) -> None:
    curriculum = grown(states, share=1.0)
    curriculum.observe(0, [[1.0, 0.0] for _ in curriculum.starts(0, 4)])
    curriculum.reach(0, [states[8:]])
    assert len(brought(curriculum.starts(1, 4))) == 4
    curriculum.observe(1, [[1.0, 0.0]] * 4)


def test_evidence_ages_where_only_reached_states_moved_the_policy(states) -> None:
    aged, fresh = (grown(states, share=0.5) for _ in range(2))
    for curriculum, last in ((aged, [1.0, 0.0]), (fresh, [1.0, 1.0])):
        curriculum.observe(0, [[1.0, 0.0] for _ in curriculum.starts(0, 2)])
        curriculum.reach(0, [states[8:]])
        curriculum.starts(1, 2)
        curriculum.observe(1, [[1.0, 1.0], last])
    assert aged.state()["profiler"]["updates"] == 2
    assert fresh.state()["profiler"]["updates"] == 1


@settings(max_examples=30, deadline=None)
@given(reached=st.lists(st.lists(st.integers(8, 23), max_size=6), min_size=1, max_size=5))
def test_a_restored_state_chooses_alike(states, reached) -> None:
    curriculum = grown(states)
    for step, numbers in enumerate(reached):
        groups = curriculum.starts(step, 4)
        curriculum.observe(step, [[1.0, 0.0] for _ in groups])
        curriculum.reach(step, [[states[number] for number in numbers]])
    restored = grown(states)
    restored.load(json.loads(json.dumps(curriculum.state())))
    for step in range(len(reached), len(reached) + 4):
        assert restored.starts(step, 4) == curriculum.starts(step, 4)
    assert restored.started == curriculum.started
    assert restored.state() == curriculum.state()


@pytest.mark.parametrize("wrong", [{"share": -0.1}, {"share": 1.1}, {"kept_steps": 0}])
def test_settings_that_make_no_sense_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="expected share in"):
        ReachedConfig(**wrong)


def test_training_goes_on_where_its_own_actions_led_and_resumes_exactly(drill, tmp_path) -> None:
    make_drill = partial(drill.make_env, max_turns=4)
    with EnvPool(make_drill, 8) as pool:
        candidates = needed_candidates(drill.demonstrations[:16], pool)
    config = PolicyGradientConfig(
        max_steps=4, learning_rate=3e-3, horizon=1, groups_per_step=4, group_size=4
    )

    def trainer(pool: EnvPool, max_steps: int) -> tuple[PolicyGradientTrainer, ReachedStates]:
        profiler = LazyProfiler(candidates, LazyConfig(group_size=4))
        curriculum = ReachedStates(profiler, candidates)
        limited = replace(config, max_steps=max_steps)
        made = PolicyGradientTrainer(drill.student(), pool, limited, curriculum=curriculum)
        return made, curriculum

    def make_env():
        return ProgressReward(PivotResetWrapper(make_drill(), candidates), keeps_reached=True)

    with EnvPool(make_env, 16) as pool:
        uncut, curriculum = trainer(pool, 4)
        whole = list(uncut.train())
        assert curriculum.started > 0
        first, _ = trainer(pool, 2)
        start = list(first.train())
        first.save(tmp_path / "checkpoint.pt")
        second, resumed = trainer(pool, 4)
        second.load(tmp_path / "checkpoint.pt")
        assert start + list(second.train()) == whole
        assert resumed.started == curriculum.started
