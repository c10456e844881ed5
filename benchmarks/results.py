"""Results, what a comparison measured, computed from the run's own records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from pivot_agents.evaluation import EvaluationResult

FLOOR = 0.2
"""Success of the base below which a family out of domain says nothing of what is forgotten."""


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
    profile_cpu_s: float = 0.0
    """Processor seconds of the process that learns, all its threads; sandboxes and browsers are
    processes of their own and are not in it."""
    train_cpu_s: float = 0.0
    states_profiled: int = 0
    states_mixed: int = 0
    pivots: int = 0
    silent_share: float | None = None
    """Share of the groups whose rewards are all equal, mean over steps; ``None`` without groups."""
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
    out_of_domain: Estimate | None = None
    """Mean of the changes out of domain, each family of tasks counting alike of which the base
    solves at least ``FLOOR``; of arms only."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Mean over seeds of what learning cost; of arms only."""


@dataclass(frozen=True, slots=True)
class KindOfTask:
    """Tasks whose ids begin alike: a template's instances on the web, a package's in coding."""

    name: str
    tasks: int
    rates: Mapping[str, float]
    """Mean over tasks of the share of successes in [0, 1], by policy, its seeds pooled."""


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
class FinalReach:
    """What E2E and another arm spent to reach E2E's final validation success."""

    arm: str
    axis: Literal["turns", "wall_s"]
    counts_profiling: bool
    level: float | None
    """That success, the mean of its seeds' last points; ``None`` if it is not above the start."""
    e2e: float | None
    spent: float | None
    """By the arm; ``None`` if it never reached ``level``."""
    best: float
    """Highest success of the arm's mean curve."""
    ratio: float | None
    """E2E divided by the arm; above 1 the arm was cheaper."""
    low: float | None = None
    """Lower end of the ratio's 95 % bootstrap interval over seeds, 0 standing for "not reached";
    ``None`` with one seed."""
    high: float | None = None
    left_out: float = 0.0
    """Share of the bootstrap's draws in which E2E gained nothing; the interval is of the others."""


@dataclass(frozen=True, slots=True)
class Target:
    """One of the numbers that the claim promises, and what became of it."""

    name: str
    verdict: Literal["met", "missed", "not measured"]
    """By the estimate itself; ``sentence`` has the interval."""
    value: float | None
    """The estimate; ``None`` if it was not measured, or the level was never reached."""
    figure: str
    """The same with its interval, for a table."""
    sentence: str


@dataclass(frozen=True, slots=True)
class ArmTargets:
    """The targets of one arm that learns from pivots."""

    arm: str
    targets: tuple[Target, ...]
    evidence: str = ""
    """How much the arm had to learn from, beside E2E."""

    @property
    def met(self) -> int:
        """How many are met."""
        return sum(one.verdict == "met" for one in self.targets)


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that the report shows."""

    verdict: str
    """The report's first paragraph: which targets the headline arm meets and which it misses."""
    targets: tuple[ArmTargets, ...]
    """Of the headline arm, then of every other arm that learns from pivots."""
    rows: tuple[Row, ...]
    kinds: tuple[KindOfTask, ...]
    """Of the test tasks, at T=1."""
    arms: tuple[ArmRecord, ...]
    reaches: tuple[Reach, ...]
    """Of the curves' mean over seeds."""
    final_reaches: tuple[FinalReach, ...]
    """Of every RL arm but E2E."""
    reaches_by_seed: Mapping[str, tuple[Reach, ...]]
    findings: tuple[str, ...]
    """Sentences made from the numbers."""
    facts: Mapping[str, Any]
    """Configuration, sizes of the sets, surroundings."""


def is_out_of_domain(measurement: str) -> bool:
    """Tell whether a measurement is of tasks that are nobody's domain."""
    return not measurement.startswith(("test ", "unseen "))


def can_be_forgotten(base: Sequence[Mapping[str, EvaluationResult]]) -> tuple[str, ...]:
    """Return the measurements out of domain of which the base solves at least ``FLOOR``.

    Args:
        base: What was measured of the base model, for each seed it was run with.
    """
    return tuple(
        name
        for name in base[0]
        if is_out_of_domain(name) and pooled([each[name] for each in base]).success_rate >= FLOOR
    )


def pooled(results: Sequence[EvaluationResult]) -> EvaluationResult:
    """Return one result with the episodes of all, task by task."""
    # A task whose episodes could not even begin has no id there.
    task_ids = zip(*(each.task_ids for each in results), strict=True)
    by_task = zip(*(each.successes for each in results), strict=True)
    return EvaluationResult(
        task_ids=tuple(next(filter(None, ids), "") for ids in task_ids),
        successes=tuple(tuple(one for tries in each for one in tries) for each in by_task),
        infra_errors=sum(each.infra_errors for each in results),
        turns=sum(each.turns for each in results),
    )


def estimate(results: Sequence[EvaluationResult]) -> Estimate:
    """Return the success rate of one policy over its seeds."""
    whole = pooled(results)
    per_seed = tuple(each.success_rate for each in results) if len(results) > 1 else ()
    return Estimate(whole.success_rate, *whole.success_interval(), per_seed)


def difference(ours: Sequence[EvaluationResult], theirs: Sequence[EvaluationResult]) -> Estimate:
    """Return our success rate minus theirs on the same tasks, with a paired bootstrap interval."""
    one = mean_difference([(ours, theirs)])
    per_seed = tuple(each.success_rate - pooled(theirs).success_rate for each in ours)
    return replace(one, per_seed=per_seed if len(ours) > 1 else ())


def mean_difference(
    families: Sequence[tuple[Sequence[EvaluationResult], Sequence[EvaluationResult]]],
    *,
    resamples: int = 10_000,
) -> Estimate:
    """Return the mean over families of tasks of our success rate minus theirs.

    Each family counts alike; the paired bootstrap draws tasks within their family.

    Args:
        families: Our results and theirs on each family, one result for each seed.
        resamples: Number of bootstrap samples.
    """
    generator = np.random.default_rng(0)
    means, drawn = [], []
    for ours, theirs in families:
        pairs = zip(pooled(ours).successes, pooled(theirs).successes, strict=True)
        gaps = np.array([np.mean(a) - np.mean(b) for a, b in pairs if a and b], dtype=np.float64)
        means.append(gaps.mean())
        chosen = generator.integers(len(gaps), size=(resamples, len(gaps)))
        drawn.append(gaps[chosen].mean(axis=1))
    low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    # The last bits of a mean would decide ties.
    mean, low, high = np.round([np.mean(means), low, high], 12) + 0.0
    return Estimate(float(mean), float(low), float(high))


def mean_costs(records: Sequence[ArmRecord], *, device: str = "cpu") -> dict[str, float]:
    """Return the mean over seeds of what one arm spent on learning.

    ``gpu_s`` is there if ``device`` is a GPU: the seconds for which learning held it.
    """

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    def tallied(name: str) -> float:
        return mean([each.profile.get(name, 0) + each.train.get(name, 0) for each in records])

    wall_s = mean([each.profile_wall_s + each.train_wall_s for each in records])
    return {
        "profile_turns": mean([each.profile.get("turns", 0) for each in records]),
        "train_turns": mean([each.train.get("turns", 0) for each in records]),
        **{name: tallied(name) for name in ("generated_tokens", "prompt_tokens", "env_s")},
        "cpu_s": mean([each.profile_cpu_s + each.train_cpu_s for each in records]),
        **({"gpu_s": wall_s} if device.startswith("cuda") else {}),
        "wall_s": wall_s,
    }
