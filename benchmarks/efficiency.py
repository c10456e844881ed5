"""Efficiency: what it took the RL arms to reach a common success, or E2E's final one."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm_options import ARMS
from benchmarks.results import ArmRecord, FinalReach, Reach

Axis = Literal["turns", "wall_s"]
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Costs and successes, both of shape (points,)."""

_AXES: tuple[Axis, ...] = ("turns", "wall_s")
_RESAMPLES = 1_000


def curve_of(record: ArmRecord, axis: Axis, *, counts_profiling: bool = True) -> Curve:
    """Return a learning curve.

    Without profiling, costs start after it. Costs are distinct and rise.
    """
    costs = np.array([getattr(point, axis) for point in record.curve], dtype=np.float64)
    successes = np.array([point.success for point in record.curve], dtype=np.float64)
    if not counts_profiling:
        spent = record.profile.get("turns", 0) if axis == "turns" else record.profile_wall_s
        costs = np.maximum(costs - spent, 0.0)
    distinct, indices = np.unique(costs, return_index=True)
    return distinct, successes[indices]


def mean_curve(curves: Sequence[Curve], *, is_held: bool = False) -> Curve:
    """Return the mean of curves, interpolated linearly where one has no point.

    It ends where the shortest ends. If ``is_held``, it ends where the longest ends, and a curve
    that has ended stays where it is: training that is over changes nothing.
    """
    ends = [costs[-1] for costs, _ in curves]
    every = np.unique(np.concatenate([costs for costs, _ in curves]))
    grid = every[every <= (max(ends) if is_held else min(ends))]
    return grid, np.mean([np.interp(grid, *curve) for curve in curves], axis=0)


def cost_to_reach(
    costs: NDArray[np.float64], successes: NDArray[np.float64], level: float
) -> float | None:
    """Return the cost at which a curve first reaches ``level``, interpolated linearly.

    ``None`` if it never does.
    """
    for index, success in enumerate(successes):
        if success < level:
            continue
        if index == 0:
            return float(costs[0])
        before, after = successes[index - 1], success
        share = (level - before) / (after - before)
        return float(costs[index - 1] + share * (costs[index] - costs[index - 1]))
    return None


def reach(records: Sequence[ArmRecord], axis: Axis, *, counts_profiling: bool) -> Reach:
    """Compare E2E and pivot at the best success that the mean curves of both reach."""
    e2e, pivot = (
        mean_curve(
            [
                curve_of(record, axis, counts_profiling=counts_profiling)
                for record in records
                if record.arm == arm
            ]
        )
        for arm in ("E2E", "pivot")
    )
    level = float(min(e2e[1].max(), pivot[1].max()))
    # Both curves start at the same base; at its level no learning was needed.
    if level <= max(e2e[1][0], pivot[1][0]):
        return Reach(axis, counts_profiling, None, None, None, None)
    spent = cost_to_reach(*e2e, level), cost_to_reach(*pivot, level)
    ratio = spent[0] / spent[1] if spent[0] is not None and spent[1] else None
    return Reach(axis, counts_profiling, level, *spent, ratio)


def reaches(records: Sequence[ArmRecord]) -> tuple[Reach, ...]:
    """Return the four comparisons: turns and wall-clock, with profiling counted and without.

    There are none unless both arms were run.
    """
    if not {"E2E", "pivot"} <= {record.arm for record in records}:
        return ()
    return tuple(
        reach(records, axis, counts_profiling=counts) for axis in _AXES for counts in (True, False)
    )


def final_reaches(records: Sequence[ArmRecord]) -> tuple[FinalReach, ...]:
    """Compare every other RL arm with E2E at E2E's final success, in four ways each.

    There are none unless E2E was run.
    """
    arms = list(dict.fromkeys(record.arm for record in records))
    if "E2E" not in arms:
        return ()
    return tuple(
        final_reach(records, arm, axis, counts_profiling=counts)
        for arm in arms
        if arm != "E2E" and ARMS[arm].learning != "imitation"
        for axis in _AXES
        for counts in (True, False)
    )


def final_reach(
    records: Sequence[ArmRecord], arm: str, axis: Axis, *, counts_profiling: bool
) -> FinalReach:
    """Compare an arm with E2E at the mean of the last points of E2E's curves.

    What counts is where the mean curves first reach it. The interval draws whole seeds again, both
    arms' together.
    """
    e2e, ours = (
        {
            record.seed: curve_of(record, axis, counts_profiling=counts_profiling)
            for record in records
            if record.arm == name
        }
        for name in ("E2E", arm)
    )
    pairs = [(e2e[seed], ours[seed]) for seed in sorted(e2e.keys() & ours.keys())]
    level, spent_by_e2e, spent, best = _at_final(pairs)
    ratio = spent_by_e2e / spent if spent_by_e2e is not None and spent else None
    interval = _interval(pairs) if level is not None else (None, None)
    return FinalReach(
        arm, axis, counts_profiling, level, spent_by_e2e, spent, best, ratio, *interval
    )


def _at_final(
    pairs: Sequence[tuple[Curve, Curve]],
) -> tuple[float | None, float | None, float | None, float]:
    """Return E2E's final success, what E2E and the arm spent to reach it, and the arm's best."""
    e2e, ours = (mean_curve(curves, is_held=True) for curves in zip(*pairs, strict=True))
    best = float(ours[1].max())
    # The last bits of a mean depend on the order of its terms.
    level = float(e2e[1][-1]) - 1e-9
    if level <= e2e[1][0]:
        return None, None, None, best
    return level, cost_to_reach(*e2e, level), cost_to_reach(*ours, level), best


def _interval(pairs: Sequence[tuple[Curve, Curve]]) -> tuple[float | None, float | None]:
    """Return the ends of the ratio's bootstrap interval over seeds.

    Draws in which E2E gained nothing have no ratio and are left out.
    """
    count = len(pairs)
    if count < 2:
        return None, None
    drawn = np.random.default_rng(0).integers(count, size=(_RESAMPLES, count))
    distinct, times = np.unique(np.sort(drawn, axis=1), axis=0, return_counts=True)
    ratios: list[float] = []
    for indices, repeats in zip(distinct, times, strict=True):
        _, e2e, spent, _ = _at_final([pairs[index] for index in indices])
        if e2e is not None:
            ratios += [e2e / spent if spent else 0.0] * int(repeats)
    if not ratios:
        return None, None
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)
