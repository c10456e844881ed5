"""Efficiency: what it took the RL arms to reach a common success, or E2E's final one."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm_options import ARMS
from benchmarks.results import ArmRecord, FinalReach, Reach

Axis = Literal["turns", "wall_s"]

_AXES: tuple[Axis, ...] = ("turns", "wall_s")
_RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Course:
    """What learning had spent and reached, at turns that rise; arrays of shape (points,)."""

    turns: NDArray[np.float64]
    wall_s: NDArray[np.float64]
    success: NDArray[np.float64]

    def spent(self, axis: Axis) -> NDArray[np.float64]:
        """Return the costs of the points, (points,)."""
        return self.turns if axis == "turns" else self.wall_s

    def cost_to_reach(self, level: float, axis: Axis) -> float | None:
        """Return the cost at which success first reaches ``level``, interpolated linearly.

        ``None`` if it never does.
        """
        for index, success in enumerate(self.success):
            if success < level:
                continue
            if index == 0:
                return float(self.spent(axis)[0])
            share = (level - self.success[index - 1]) / (success - self.success[index - 1])
            before, after = self.spent(axis)[index - 1 : index + 1]
            return float(before + share * (after - before))
        return None


def course_of(record: ArmRecord, *, counts_profiling: bool = True) -> Course:
    """Return an arm's course; without profiling, costs start after it.

    Of several points at the same turns the last counts: seconds without turns are spent there.
    """
    turns, wall_s, success = np.array(
        [(point.turns, point.wall_s, point.success) for point in record.curve], dtype=np.float64
    ).T
    if not counts_profiling:
        turns = np.maximum(turns - record.profile.get("turns", 0), 0.0)
        wall_s = np.maximum(wall_s - record.profile_wall_s, 0.0)
    distinct, firsts = np.unique(turns[::-1], return_index=True)
    lasts = len(turns) - 1 - firsts
    return Course(distinct, wall_s[lasts], success[lasts])


def mean_course(courses: Sequence[Course]) -> Course:
    """Return the mean of courses at equal turns, interpolated linearly where one has no point.

    It ends where the longest ends, and a course that has ended stays where it is: training that is
    over changes nothing. Seconds are averaged like success: what a turn takes on one seed's day
    says nothing of the others'.
    """
    grid = np.unique(np.concatenate([course.turns for course in courses]))
    walls, successes = (
        np.mean([np.interp(grid, course.turns, values(course)) for course in courses], axis=0)
        for values in (attrgetter("wall_s"), attrgetter("success"))
    )
    return Course(grid, walls, successes)


def reach(records: Sequence[ArmRecord], axis: Axis, *, counts_profiling: bool) -> Reach:
    """Compare E2E and pivot at the best success that the mean courses of both reach."""
    e2e, pivot = (
        mean_course(
            [
                course_of(record, counts_profiling=counts_profiling)
                for record in records
                if record.arm == arm
            ]
        )
        for arm in ("E2E", "pivot")
    )
    level = float(min(e2e.success.max(), pivot.success.max()))
    # Both start at the same base; at its level no learning was needed.
    if level <= max(e2e.success[0], pivot.success[0]):
        return Reach(axis, counts_profiling, None, None, None, None)
    spent = e2e.cost_to_reach(level, axis), pivot.cost_to_reach(level, axis)
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

    What counts is where the mean courses first reach it. The interval draws whole seeds again, both
    arms' together.
    """
    e2e, ours = (
        {
            record.seed: course_of(record, counts_profiling=counts_profiling)
            for record in records
            if record.arm == name
        }
        for name in ("E2E", arm)
    )
    pairs = [(e2e[seed], ours[seed]) for seed in sorted(e2e.keys() & ours.keys())]
    level, spent_by_e2e, spent, best = _at_final(pairs, axis)
    ratio = spent_by_e2e / spent if spent_by_e2e is not None and spent else None
    interval = _interval(pairs, axis) if level is not None else (None, None, 0.0)
    return FinalReach(
        arm, axis, counts_profiling, level, spent_by_e2e, spent, best, ratio, *interval
    )


def _at_final(
    pairs: Sequence[tuple[Course, Course]], axis: Axis
) -> tuple[float | None, float | None, float | None, float]:
    """Return E2E's final success, what E2E and the arm spent to reach it, and the arm's best."""
    e2e, ours = (mean_course(courses) for courses in zip(*pairs, strict=True))
    best = float(ours.success.max())
    # The last bits of a mean depend on the order of its terms.
    level = float(e2e.success[-1]) - 1e-9
    if level <= e2e.success[0]:
        return None, None, None, best
    return level, e2e.cost_to_reach(level, axis), ours.cost_to_reach(level, axis), best


def _interval(
    pairs: Sequence[tuple[Course, Course]], axis: Axis
) -> tuple[float | None, float | None, float]:
    """Return the ends of the ratio's bootstrap interval over seeds, and the share left out of it.

    Draws in which E2E gained nothing have no ratio and are left out.
    """
    count = len(pairs)
    if count < 2:
        return None, None, 0.0
    drawn = np.random.default_rng(0).integers(count, size=(_RESAMPLES, count))
    distinct, times = np.unique(np.sort(drawn, axis=1), axis=0, return_counts=True)
    ratios: list[float] = []
    for indices, repeats in zip(distinct, times, strict=True):
        _, e2e, spent, _ = _at_final([pairs[index] for index in indices], axis)
        if e2e is not None:
            ratios += [e2e / spent if spent else 0.0] * int(repeats)
    left_out = 1 - len(ratios) / _RESAMPLES
    if not ratios:
        return None, None, left_out
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high), left_out
