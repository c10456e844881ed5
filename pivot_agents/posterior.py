"""BetaPosterior, what is known of how often a policy succeeds in one state."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BetaPosterior:
    """A Beta distribution over the chance of success, conjugate to counts of outcomes."""

    successes: float
    """Its first parameter, above 0: successes seen and imagined."""
    failures: float
    """Its second parameter, above 0: failures seen and imagined."""

    def __post_init__(self) -> None:
        if not (0 < self.successes < math.inf and 0 < self.failures < math.inf):
            raise ValueError(
                "a Beta posterior needs two finite numbers above 0, got "
                f"{self.successes} and {self.failures}"
            )

    @property
    def mean(self) -> float:
        """Expected chance of success, in (0, 1)."""
        return self.successes / (self.successes + self.failures)

    def expected_information(self, group_size: int) -> float:
        """Return the chance that a group of rollouts from the state has mixed outcomes, in [0, 1).

        1 - E[p^G] - E[(1 - p)^G] under the posterior of p. Where advantages are divided by their
        group's standard deviation, a mixed group has the same expected weight whatever its mean,
        and any other group none; this chance is then what the group is expected to teach. A
        single lucky success in many draws leaves it low, where the plain frequencies would not.

        Args:
            group_size: G, at least 1; a single rollout has nothing to differ from.
        """
        total = self.successes + self.failures
        all_succeed = math.prod(
            (self.successes + number) / (total + number) for number in range(group_size)
        )
        all_fail = math.prod(
            (self.failures + number) / (total + number) for number in range(group_size)
        )
        return max(0.0, 1.0 - all_succeed - all_fail)
