"""Efficiency: what it took each RL arm to reach the best success that both reach."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import ArmRecord, Reach

Axis = Literal["turns", "wall_s"]


def curve_of(
    record: ArmRecord, axis: Axis, *, counts_profiling: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a learning curve as costs and successes, both of shape (points,).

    Without profiling, costs start after it. Costs are distinct and rise.
    """
    costs = np.array([getattr(point, axis) for point in record.curve], dtype=np.float64)
    successes = np.array([point.success for point in record.curve], dtype=np.float64)
    if not counts_profiling:
        spent = record.profile.get("turns", 0) if axis == "turns" else record.profile_wall_s
        costs = np.maximum(costs - spent, 0.0)
    distinct, indices = np.unique(costs, return_index=True)
    return distinct, successes[indices]


def mean_curve(
    curves: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of curves, interpolated linearly where one has no point.

    It ends where the shortest ends.
    """
    end = min(costs[-1] for costs, _ in curves)
    every = np.unique(np.concatenate([costs for costs, _ in curves]))
    grid = every[every <= end]
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
    axes: tuple[Axis, ...] = ("turns", "wall_s")
    return tuple(
        reach(records, axis, counts_profiling=counts) for axis in axes for counts in (True, False)
    )
