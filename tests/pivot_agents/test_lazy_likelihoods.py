"""LazyProfiler with priors by how likely the policy is to do what was demonstrated."""

from itertools import chain

import pytest

from pivot_agents.lazy import LazyConfig, LazyProfiler
from pivot_envs.core import Effect
from pivot_envs.drill import DrillEnv
from wrappers import Pivot


@pytest.fixture(scope="module")
def candidates() -> list[Pivot]:
    env = DrillEnv()
    env.reset(options={"task_id": "reverse-3-1"})
    start, effect = env.snapshot(), Effect("after", frozenset(), terminated=False)
    return [Pivot(f"state-{n}", "t", 0, start, "{}", effect, "edit") for n in range(20)]


def ids(starts) -> list[str]:
    return [start.options["pivot_id"] for start in starts]


def run(profiler: LazyProfiler, rewards: list[float], steps: int) -> list[list[str]]:
    """Train on four groups a step that all have these rewards; returns the states of each step."""
    taken = []
    for step in range(steps):
        taken.append(ids(profiler.starts(step, 4)))
        profiler.observe(step, [rewards] * 4)
    return taken


def test_a_hand_computed_prior_from_likelihoods(candidates) -> None:
    config = LazyConfig(group_size=2, likelihood_strength=2.0, kept_per_update=1.0, rest_steps=0)
    few = candidates[:2]
    first, second = (one.pivot_id for one in few)
    profiler = LazyProfiler(few, config, lambda: [0.5, 0.8])
    assert ids(profiler.starts(0, 1)) == [first]
    # Nothing is known of other actions: half of them are paid. 0.5 + 0.5 / 2, twice.
    posterior = profiler.posterior(first)
    assert (posterior.successes, posterior.failures) == pytest.approx((1.5, 0.5))
    profiler.observe(0, [[1.0, 0.0]])
    # One of two was paid, as the likelihood says: other actions were paid (0.5 + 1 - 1) / (1 + 1).
    posterior = profiler.posterior(second)
    assert posterior.mean == pytest.approx(0.8 + 0.2 * 0.25)
    posterior = profiler.posterior(first)
    assert (posterior.successes, posterior.failures) == pytest.approx((2.25, 1.75))


def test_a_state_in_which_the_policy_is_sure_is_left_alone(candidates) -> None:
    sure = [one.pivot_id for one in candidates[::2]]
    likelihoods = [0.995 if one.pivot_id in sure else 0.3 for one in candidates]
    profiler = LazyProfiler(candidates, LazyConfig(rest_steps=0), lambda: likelihoods)
    taken = run(profiler, [1.0, 0.0] * 4, steps=10)
    assert not set(chain(*taken)) & set(sure)
    assert {profiler.status(pivot_id) for pivot_id in sure} == {"unseen"}


def test_likelihoods_are_asked_for_again_as_the_policy_moves(candidates) -> None:
    asked = []

    def likelihoods() -> list[float]:
        asked.append(len(asked))
        return [0.5] * len(candidates)

    profiler = LazyProfiler(candidates, LazyConfig(likelihood_steps=3), likelihoods)
    run(profiler, [1.0, 0.0], steps=7)
    assert len(asked) == 3


@pytest.mark.parametrize("likelihoods", [[0.5], [0.5, 1.5], [0.5, float("nan")]])
def test_likelihoods_that_are_none_are_refused(candidates, likelihoods) -> None:
    profiler = LazyProfiler(candidates[:2], None, lambda: likelihoods)
    with pytest.raises(ValueError, match="expected 2 numbers in"):
        profiler.starts(0, 1)


@pytest.mark.parametrize("likelihood", [0.0, 1.0])
def test_certain_likelihoods_and_outcomes_that_belie_them_are_no_error(
    candidates, likelihood
) -> None:
    profiler = LazyProfiler(candidates, None, lambda: [likelihood] * len(candidates))
    run(profiler, [1.0 - likelihood] * 8, steps=30)
    for one in candidates:
        assert 0.0 < profiler.posterior(one.pivot_id).mean < 1.0
