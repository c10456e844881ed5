"""Evaluation: how often a policy succeeds, and how sure that is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pivot_agents.accounting import TurnCounter
from pivot_agents.policy import Policy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_envs.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """Successes by task."""

    task_ids: tuple[str, ...]
    """One for each start, in order."""
    successes: tuple[tuple[bool, ...], ...]
    """For each start, whether each episode succeeded; infrastructure failures are left out."""
    infra_errors: int
    """Episodes that the machinery failed; they count as neither success nor failure."""
    turns: int
    """All turns of the evaluation."""

    @property
    def success_rate(self) -> float:
        """Mean over tasks of the share of successes, in [0, 1]; NaN if nothing was measured."""
        rates = self._rates()
        return float(rates.mean()) if len(rates) else float("nan")

    def success_interval(
        self, level: float = 0.95, *, resamples: int = 10_000, seed: int = 0
    ) -> tuple[float, float]:
        """Return a percentile bootstrap interval of the success rate.

        Whole tasks are drawn again, so that the interval speaks of tasks like these and not only
        of more samples of the same ones.

        Args:
            level: Coverage, such as 0.95.
            resamples: Number of bootstrap samples.
            seed: Seed of the bootstrap.

        Returns:
            Lower and upper end, NaN if nothing was measured.
        """
        rates = self._rates()
        if not len(rates):
            return float("nan"), float("nan")
        generator = np.random.default_rng(seed)
        drawn = generator.integers(len(rates), size=(resamples, len(rates)))
        tail = (1 - level) / 2
        low, high = np.quantile(rates[drawn].mean(axis=1), [tail, 1 - tail])
        return float(low), float(high)

    def _rates(self) -> np.ndarray:
        return np.array([np.mean(tries) for tries in self.successes if tries], dtype=np.float64)


def evaluate(
    policy: Policy,
    pool: EnvPool,
    starts: Sequence[Start],
    *,
    samples_per_start: int = 1,
    horizon: int | None = None,
    counter: TurnCounter | None = None,
    on_turn: Callable[[int], None] | None = None,
) -> EvaluationResult:
    """Run a policy from each start and record its successes.

    Args:
        policy: The policy; its temperature is what is reported.
        pool: Where episodes run.
        starts: One for each task.
        samples_per_start: Episodes for each start.
        horizon: Most turns of an episode; ``None`` leaves the end to the environment.
        counter: Counts the turns as evaluation.
        on_turn: Called with the number of turns after each round, for a progress bar.
    """
    counter = counter or TurnCounter()
    before = counter["evaluate"].turns
    repeated = [start for start in starts for _ in range(samples_per_start)]
    episodes = rollout(pool, policy, repeated, horizon=horizon, counter=counter, on_turn=on_turn)
    size = samples_per_start
    by_start = [episodes[at : at + size] for at in range(0, len(episodes), size)]
    return EvaluationResult(
        task_ids=tuple(_task_id(tries) for tries in by_start),
        successes=tuple(
            tuple(one.is_success for one in tries if one.infra_error is None) for tries in by_start
        ),
        infra_errors=sum(one.infra_error is not None for one in episodes),
        turns=counter["evaluate"].turns - before,
    )


def _task_id(tries: Sequence[Trajectory]) -> str:
    """Return the task of episodes from one start; those that could not begin do not know it."""
    return next((one.task_id for one in tries if one.task_id), "")
