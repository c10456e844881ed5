import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot_agents.posterior import BetaPosterior

PARAMETERS = st.floats(0.05, 50)


def test_a_hand_computed_case() -> None:
    # Uniform prior, 1 success in 3 draws: Beta(2, 3). A pair of rollouts is mixed with chance
    # 2 E[p (1 - p)] = 2 * 2 * 3 / (5 * 6) = 0.4.
    posterior = BetaPosterior(2, 3)
    assert posterior.mean == pytest.approx(0.4)
    assert posterior.expected_information(2) == pytest.approx(0.4)
    # Of three: 1 - (2 * 3 * 4 + 3 * 4 * 5) / (5 * 6 * 7) = 1 - 84 / 210 = 0.6.
    assert posterior.expected_information(3) == pytest.approx(0.6)


def test_one_lucky_draw_in_many_promises_little() -> None:
    lucky, even = BetaPosterior(0.5 + 1, 0.5 + 15), BetaPosterior(0.5 + 8, 0.5 + 8)
    assert lucky.expected_information(8) < 0.55 < 0.95 < even.expected_information(8)


@settings(deadline=None)
@given(successes=PARAMETERS, failures=PARAMETERS, size=st.integers(1, 16))
def test_the_information_is_a_chance_that_grows_with_the_group(successes, failures, size) -> None:
    posterior = BetaPosterior(successes, failures)
    information = posterior.expected_information(size)
    assert 0.0 <= information < 1.0
    assert information <= posterior.expected_information(size + 1) + 1e-12
    swapped = BetaPosterior(failures, successes)
    assert information == pytest.approx(swapped.expected_information(size))


@settings(deadline=None)
@given(successes=st.integers(1, 6), failures=st.integers(1, 6), size=st.integers(1, 5))
def test_it_is_the_beta_binomial_chance_of_mixed_counts(successes, failures, size) -> None:
    def beta(a: float, b: float) -> float:
        return math.gamma(a) * math.gamma(b) / math.gamma(a + b)

    chance = sum(
        math.comb(size, count) * beta(successes + count, failures + size - count)
        for count in range(1, size)
    ) / beta(successes, failures)
    posterior = BetaPosterior(successes, failures)
    assert posterior.expected_information(size) == pytest.approx(chance, abs=1e-12)


@pytest.mark.parametrize("pair", list(itertools.product([0.0, -1.0, math.inf, math.nan], [1.0])))
def test_parameters_that_are_none_are_refused(pair) -> None:
    with pytest.raises(ValueError, match="above 0"):
        BetaPosterior(*pair)
