"""Results, what a comparison measured, computed from the run's own records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pivot_agents.evaluation import EvaluationResult


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point of a learning curve."""

    turns: int
    """Learning turns so far, profiling included."""
    wall_s: float
    """Seconds of learning so far, profiling included, evaluation left out."""
    success: float
    """Validation success at T=1, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class ArmRecord:
    """What one arm of one seed did and what it cost."""

    arm: str
    seed: int
    note: str = ""
    """What a reader should know of this run."""
    steps: int = 0
    """Optimizer steps."""
    profile: Mapping[str, Any] = field(default_factory=dict)
    """Tally of the profiling rollouts."""
    train: Mapping[str, Any] = field(default_factory=dict)
    """Tally of the training rollouts."""
    profile_wall_s: float = 0.0
    train_wall_s: float = 0.0
    states_profiled: int = 0
    states_mixed: int = 0
    pivots: int = 0
    curve: tuple[CurvePoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A success rate, or a difference of two."""

    mean: float
    low: float
    """Lower end of the 95 % bootstrap interval over tasks."""
    high: float
    per_seed: tuple[float, ...] = ()
    """The same of each seed alone, where an arm was run with more than one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One policy of the table."""

    name: str
    kind: Literal["baseline", "base", "arm"]
    scores: Mapping[str, Estimate]
    """By measurement, such as ``test T=1``."""
    changes: Mapping[str, Estimate] = field(default_factory=dict)
    """Difference to the base by measurement; of arms only."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Mean over seeds of what learning cost; of arms only."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What each RL arm spent to reach the best validation success that both reach."""

    axis: Literal["turns", "wall_s"]
    counts_profiling: bool
    level: float | None
    """That success; ``None`` if one of the arms never rose above the start."""
    e2e: float | None
    pivot: float | None
    ratio: float | None
    """E2E divided by pivot; above 1 the pivots were cheaper."""


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that the report shows."""

    rows: tuple[Row, ...]
    arms: tuple[ArmRecord, ...]
    reaches: tuple[Reach, ...]
    """Of the curves' mean over seeds."""
    reaches_by_seed: Mapping[str, tuple[Reach, ...]]
    findings: tuple[str, ...]
    """Sentences made from the numbers."""
    facts: Mapping[str, Any]
    """Configuration, sizes of the sets, surroundings."""


def pooled(results: Sequence[EvaluationResult]) -> EvaluationResult:
    """Return one result with the episodes of all, task by task."""
    first = results[0]
    by_task = zip(*(each.successes for each in results), strict=True)
    return EvaluationResult(
        task_ids=first.task_ids,
        successes=tuple(tuple(one for tries in each for one in tries) for each in by_task),
        infra_errors=sum(each.infra_errors for each in results),
        turns=sum(each.turns for each in results),
    )


def estimate(results: Sequence[EvaluationResult]) -> Estimate:
    """Return the success rate of one policy over its seeds."""
    whole = pooled(results)
    per_seed = tuple(each.success_rate for each in results) if len(results) > 1 else ()
    return Estimate(whole.success_rate, *whole.success_interval(), per_seed)


def difference(
    ours: Sequence[EvaluationResult],
    theirs: Sequence[EvaluationResult],
    *,
    resamples: int = 10_000,
) -> Estimate:
    """Return our success rate minus theirs on the same tasks, with a paired bootstrap interval."""
    pairs = zip(pooled(ours).successes, pooled(theirs).successes, strict=True)
    gaps = np.array([np.mean(a) - np.mean(b) for a, b in pairs if a and b], dtype=np.float64)
    generator = np.random.default_rng(0)
    drawn = gaps[generator.integers(len(gaps), size=(resamples, len(gaps)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    per_seed = tuple(each.success_rate - pooled(theirs).success_rate for each in ours)
    return Estimate(float(gaps.mean()), float(low), float(high), per_seed if len(ours) > 1 else ())


def mean_costs(records: Sequence[ArmRecord]) -> dict[str, float]:
    """Return the mean over seeds of what one arm spent on learning."""

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    tokens = ("generated_tokens", "prompt_tokens")
    return {
        "profile_turns": mean([each.profile.get("turns", 0) for each in records]),
        "train_turns": mean([each.train.get("turns", 0) for each in records]),
        **{
            name: mean([each.profile.get(name, 0) + each.train.get(name, 0) for each in records])
            for name in tokens
        },
        "wall_s": mean([each.profile_wall_s + each.train_wall_s for each in records]),
    }
