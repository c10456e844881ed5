"""LazyProfiler: which states it takes, and what it remembers of them."""

from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot_agents.accounting import TurnCounter
from pivot_agents.lazy import LazyConfig, LazyProfiler
from pivot_agents.pool import EnvPool
from pivot_agents.profiling import extract_candidates, profile
from pivot_agents.rollout import rollout
from pivot_agents.trainers.policy_gradient import PolicyGradientConfig, PolicyGradientTrainer
from pivot_envs.core import Effect
from pivot_envs.drill import DrillEnv
from wrappers import FunctionalReward, Pivot, PivotResetWrapper


@pytest.fixture(scope="session")
def candidates() -> list[Pivot]:
    env = DrillEnv()
    env.reset(options={"task_id": "reverse-3-1"})
    effect = Effect("after", frozenset(), terminated=False)
    one = Pivot("", "t", 0, env.snapshot(), "{}", effect, "edit")
    return [
        replace(one, pivot_id=f"{tool}-{number}", tool=tool)
        for number in range(10)
        for tool in ("edit", "view")
    ]


def ids(starts) -> list[str]:
    return [start.options["pivot_id"] for start in starts]


def run(profiler: LazyProfiler, outcomes, steps: int, groups: int = 4) -> list[list[str]]:
    """Train with the outcomes that each state gives; returns the states of each step."""
    taken = []
    for step in range(steps):
        chosen = ids(profiler.starts(step, groups))
        profiler.observe(step, [outcomes(pivot_id) for pivot_id in chosen])
        taken.append(chosen)
    return taken


def test_a_hand_computed_posterior(candidates) -> None:
    profiler = LazyProfiler(candidates, LazyConfig(group_size=2, kept_per_update=0.5))
    chosen = ids(profiler.starts(0, 2))
    profiler.observe(0, [[1.0, 0.0], [0.0, 0.0]])
    mixed, failed = chosen
    assert mixed.split("-")[0] != failed.split("-")[0]
    # One update has halved the evidence: 0.5 of each outcome. The tool's mean, from (0.5, 0.5) on,
    # is 1 / 2, and the prior counts for one outcome.
    posterior = profiler.posterior(mixed)
    assert (posterior.successes, posterior.failures) == pytest.approx((1.0, 1.0))
    # Two failures count for one; the tool's mean is 0.5 / 2.
    posterior = profiler.posterior(failed)
    assert (posterior.successes, posterior.failures) == pytest.approx((0.25, 1.75))
    # Both succeed with chance 0.25 x 1.25 / 6, both fail with 1.75 x 2.75 / 6.
    assert posterior.expected_information(2) == pytest.approx(0.1458, abs=1e-4)


def test_mixed_states_come_again_and_solved_and_hopeless_ones_retire(candidates) -> None:
    def outcomes(pivot_id: str) -> list[float]:
        number = int(pivot_id.split("-")[1])
        return {0: [0.0] * 8, 1: [1.0] * 8}.get(number % 3, [1.0, 0.0] * 4)

    profiler = LazyProfiler(candidates, LazyConfig(rest_steps=1, kept_per_update=1.0))
    taken = run(profiler, outcomes, steps=30)
    status = {pivot_id: profiler.status(pivot_id) for pivot_id in chain(*taken)}
    for pivot_id, found in status.items():
        number = int(pivot_id.split("-")[1])
        assert found == {0: "hopeless", 1: "solved"}.get(number % 3, "active")
    late = set(chain(*taken[-5:]))
    assert {int(pivot_id.split("-")[1]) % 3 for pivot_id in late} == {2}


def test_no_tool_fills_more_than_half_while_others_can_teach(candidates) -> None:
    profiler = LazyProfiler(candidates)
    taken = run(profiler, lambda pivot_id: [1.0, 0.0] * 4, steps=3, groups=8)
    for chosen in taken:
        assert sum(pivot_id.startswith("edit") for pivot_id in chosen) == 4
        assert len(set(chosen)) == 8


def test_a_tool_that_is_solved_is_left_alone_without_drawing_every_state(candidates) -> None:
    profiler = LazyProfiler(candidates, LazyConfig(rest_steps=0))
    taken = run(
        profiler,
        lambda pivot_id: [1.0] * 8 if pivot_id.startswith("view") else [1.0, 0.0] * 4,
        steps=8,
    )
    seen = {pivot_id for pivot_id in chain(*taken) if pivot_id.startswith("view")}
    assert len(seen) <= 4
    assert not any(pivot_id.startswith("view") for pivot_id in chain(*taken[3:]))


def test_a_retired_state_returns_when_its_evidence_has_aged(candidates) -> None:
    two = [candidates[0], candidates[2]]
    profiler = LazyProfiler(two, LazyConfig(rest_steps=0, kept_per_update=0.8))
    failing, mixed = (one.pivot_id for one in two)
    status = []
    for step in range(25):
        groups = 2 if step < 2 else 1
        chosen = ids(profiler.starts(step, groups))
        outcomes = {failing: [0.0] * 8, mixed: [1.0, 0.0] * 4}
        profiler.observe(step, [outcomes[one] for one in chosen])
        status.append(profiler.status(failing))
    assert "hopeless" in status
    assert status[-1] == "active"


def test_nothing_ages_while_the_policy_does_not_move(candidates) -> None:
    profiler = LazyProfiler(candidates[:1], LazyConfig(kept_per_update=0.5))
    run(profiler, lambda _: [1.0, 1.0], steps=5, groups=1)
    posterior = profiler.posterior(candidates[0].pivot_id)
    assert posterior.successes + posterior.failures == pytest.approx(1 + 10)


def test_few_states_fill_all_groups_and_lost_groups_teach_nothing(candidates) -> None:
    profiler = LazyProfiler(candidates[:2])
    assert len(profiler.starts(0, 5)) == 5
    profiler.observe(0, [[]] * 5)
    assert profiler.posterior(candidates[0].pivot_id).mean == 0.5


def test_a_state_without_rewards_is_given_up_after_two_groups(candidates) -> None:
    mute = candidates[0].pivot_id
    profiler = LazyProfiler(candidates[:4], LazyConfig(rest_steps=0))
    taken = run(profiler, lambda one: [] if one == mute else [1.0] * 8, steps=9, groups=1)
    assert list(chain(*taken)).count(mute) == 2
    restored = LazyProfiler(candidates[:4], LazyConfig(rest_steps=0))
    restored.load(profiler.state())
    assert mute not in ids(restored.starts(9, 3))
    # It is taken where there is no other.
    assert mute in ids(restored.starts(10, 4))


OUTCOMES = st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=8), min_size=4, max_size=4)


@settings(max_examples=30, deadline=None)
@given(history=st.lists(OUTCOMES, min_size=1, max_size=12), is_informed=st.booleans())
def test_it_goes_on_from_its_saved_state_as_if_it_had_not_stopped(
    candidates, history, is_informed
) -> None:
    likelihoods = [number / len(candidates) for number in range(len(candidates))]
    ask = (lambda: likelihoods) if is_informed else None
    profiler = LazyProfiler(candidates, None, ask)
    for step, rewards in enumerate(history):
        profiler.starts(step, 4)
        profiler.observe(step, rewards)
    again = LazyProfiler(candidates, None, ask)
    again.load(profiler.state())
    step = len(history)
    assert again.starts(step, 4) == profiler.starts(step, 4)
    again.observe(step, history[0])
    profiler.observe(step, history[0])
    assert again.state() == profiler.state()
    assert again.counts() == profiler.counts()
    assert sum(profiler.counts().values()) == len(candidates)


@settings(max_examples=30, deadline=None)
@given(history=st.lists(OUTCOMES, min_size=1, max_size=12), kept=st.floats(0.01, 1.0))
def test_evidence_is_never_more_than_what_was_seen(candidates, history, kept) -> None:
    profiler = LazyProfiler(candidates, LazyConfig(kept_per_update=kept))
    seen = dict.fromkeys((one.pivot_id for one in candidates), 0)
    for step, rewards in enumerate(history):
        for pivot_id, outcomes in zip(ids(profiler.starts(step, 4)), rewards, strict=True):
            seen[pivot_id] += len(outcomes)
        profiler.observe(step, rewards)
    for pivot_id, count in seen.items():
        posterior = profiler.posterior(pivot_id)
        assert 1 - 1e-9 <= posterior.successes + posterior.failures <= 1 + count + 1e-9
        assert 0.0 <= posterior.expected_information(8) < 1.0


def test_wrong_settings_and_states_are_refused(candidates) -> None:
    with pytest.raises(ValueError, match="distinct ids"):
        LazyProfiler([])
    with pytest.raises(ValueError, match="group_size >= 2"):
        LazyConfig(group_size=1)
    with pytest.raises(ValueError, match="return_above"):
        LazyConfig(retire_below=0.5, return_above=0.2)
    with pytest.raises(ValueError, match="likelihood_steps >= 1"):
        LazyConfig(likelihood_steps=0)
    profiler = LazyProfiler(candidates)
    profiler.starts(0, 4)
    with pytest.raises(ValueError, match="expected 4 groups"):
        profiler.observe(0, [])
    with pytest.raises(ValueError, match="no candidate"):
        LazyProfiler(candidates[:1]).load(
            {"updates": 0, "records": {"other": {}}, "likelihoods": {}}
        )


def lazy_turns_to_find(drill, candidates, count: int) -> int:
    """Profile a frozen policy lazily; return the turns until ``count`` states were mixed."""
    profiler = LazyProfiler(candidates, LazyConfig(rest_steps=100))
    counter, policy = TurnCounter(), drill.base.with_temperature(1.0, seed=3)
    found: set[str] = set()
    with pivot_pool(drill, candidates) as pool:
        for step in range(len(candidates)):
            starts = profiler.starts(step, 4)
            repeated = [start for start in starts for _ in range(8)]
            episodes = rollout(pool, policy, repeated, horizon=1, purpose="train", counter=counter)
            rewards = [[one.return_ for one in episodes[at : at + 8]] for at in range(0, 32, 8)]
            profiler.observe(step, rewards)
            found |= {
                pivot_id
                for pivot_id, each in zip(ids(starts), rewards, strict=True)
                if min(each) < max(each)
            }
            if len(found) >= count:
                return counter["train"].turns
    raise AssertionError(f"only {len(found)} mixed states found")


def pivot_pool(drill, candidates) -> EnvPool:
    return EnvPool(
        lambda: FunctionalReward(PivotResetWrapper(drill.make_env(), candidates)), size=32
    )


def test_the_mixed_states_of_the_drill_are_found_with_fewer_turns_than_eagerly(drill):
    candidates = extract_candidates(drill.demonstrations[:24])
    counter = TurnCounter()
    with pivot_pool(drill, candidates) as pool:
        policy = drill.base.with_temperature(1.0, seed=2)
        profiled = profile(candidates, pool, policy, counter=counter)
    mixed = [one for one in profiled if one.profile.variance > 0]
    eager_turns = counter["profile"].turns
    assert eager_turns == 8 * len(candidates)
    assert 10 < len(mixed) < 0.7 * len(candidates)
    count = round(0.6 * len(mixed))
    lazy_turns = lazy_turns_to_find(drill, candidates, count)
    assert lazy_turns / count < 0.8 * eager_turns / len(mixed)


def test_lazy_training_learns_the_drill_without_a_turn_of_profiling(drill):
    student, counter = drill.student(), TurnCounter()
    candidates = extract_candidates(drill.demonstrations[:48])
    profiler = LazyProfiler(candidates)
    config = PolicyGradientConfig(max_steps=30, learning_rate=3e-3, horizon=1)
    with pivot_pool(drill, candidates) as pool:
        trainer = PolicyGradientTrainer(student, pool, config, counter=counter, curriculum=profiler)
        metrics = list(trainer.train())
    assert drill.success_rate(student) > drill.success_rate(drill.base) + 0.05
    assert counter["profile"].turns == 0
    assert counter.learning.turns == 30 * 64
    # Random starts waste at least the half that only look.
    assert sum(one.zero_variance_share for one in metrics[2:]) / 28 < 0.45


def test_a_resumed_lazy_run_gives_the_same_curve(drill, tmp_path):
    candidates = extract_candidates(drill.demonstrations[:8])
    config = PolicyGradientConfig(
        max_steps=4, learning_rate=3e-3, horizon=1, groups_per_step=2, group_size=4
    )

    def trainer(pool: EnvPool, max_steps: int) -> PolicyGradientTrainer:
        return PolicyGradientTrainer(
            drill.student(),
            pool,
            replace(config, max_steps=max_steps),
            curriculum=LazyProfiler(candidates, LazyConfig(group_size=4)),
        )

    with pivot_pool(drill, candidates) as pool:
        whole = list(trainer(pool, 4).train())
        first = trainer(pool, 2)
        start = list(first.train())
        first.save(tmp_path / "checkpoint.pt")
        second = trainer(pool, 4)
        second.load(tmp_path / "checkpoint.pt")
        assert start + list(second.train()) == whole
