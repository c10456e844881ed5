"""Findings: what the numbers say, in sentences that the numbers make, good news or bad."""

from collections.abc import Mapping, Sequence

from benchmarks.arm_options import ARMS
from benchmarks.efficiency import course_of, mean_course
from benchmarks.evaluations import Measurements
from benchmarks.results import ArmRecord, Estimate, Reach, Row, difference, is_out_of_domain

HEADLINE = "test T=1"
_AXES = {"turns": "turns", "wall_s": "wall-clock"}


def findings(
    scores: Mapping[str, Sequence[Measurements]],
    rows: Sequence[Row],
    records: Sequence[ArmRecord],
    reaches: Sequence[Reach],
) -> tuple[str, ...]:
    """Return every finding.

    Args:
        scores: Measurements of each policy, one for each seed.
        rows: The table.
        records: The arms' runs.
        reaches: What it took to reach a common success.
    """
    models = [row for row in rows if row.kind != "baseline"]
    honest = [row.name for row in rows if row.kind == "baseline" and row.name != "nothing"]
    arms = [row for row in rows if row.kind == "arm"]
    return (
        *(_has_read(row.name, honest, scores) for row in models),
        *(_has_learned(row) for row in arms),
        *(_has_kept(row) for row in arms),
        *_courses(records),
        *dict.fromkeys(_efficiency(each) for each in reaches),
        *_notes(records),
    )


def is_clear(change: Estimate) -> str:
    """Tell on which side of zero an interval lies: ``above``, ``below`` or ``unclear``."""
    if change.low > 0:
        return "above"
    return "below" if change.high < 0 else "unclear"


def points(change: Estimate) -> str:
    """Write a difference of success rates in percentage points."""
    low, high = 100 * change.low, 100 * change.high
    return f"{100 * change.mean:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})"


def _has_read(
    name: str, honest: Sequence[str], scores: Mapping[str, Sequence[Measurements]]
) -> str:
    """Say whether a policy beats the baselines that have not read the state."""
    ours = [each[HEADLINE] for each in scores[name]]
    gaps = {other: difference(ours, [each[HEADLINE] for each in scores[other]]) for other in honest}
    parts = [f"{points(gap)} against {other!r}" for other, gap in gaps.items()]
    unbeaten = [other for other, gap in gaps.items() if is_clear(gap) != "above"]
    if not unbeaten:
        return f"{name} beats the baselines that read nothing: {'; '.join(parts)}."
    names = " nor ".join(repr(other) for other in unbeaten)
    return (
        f"{name} does not clearly beat {names}, so it is not shown to use what it reads: "
        f"{'; '.join(parts)}."
    )


def _has_learned(row: Row) -> str:
    change = row.changes[HEADLINE]
    says = {
        "above": "is better than the base",
        "below": "is worse than the base",
        "unclear": "cannot be told from the base",
    }
    return f"{row.name} {says[is_clear(change)]} on the test tasks: {points(change)}."


def _has_kept(row: Row) -> str:
    says = {"above": "rises", "below": "falls", "unclear": "does not clearly change"}
    parts = [
        f"{name.removesuffix(' T=1')} {says[is_clear(change)]} by {points(change)}"
        if is_clear(change) != "unclear"
        else f"{name.removesuffix(' T=1')} {says['unclear']}, {points(change)}"
        for name, change in row.changes.items()
        if is_out_of_domain(name)
    ]
    return f"Out of domain, {row.name}: {'; '.join(parts)}."


def _courses(records: Sequence[ArmRecord]) -> tuple[str, ...]:
    """Say where the mean curve of each RL arm began, was best and ended."""
    said = []
    for arm in dict.fromkeys(each.arm for each in records):
        if ARMS[arm].learning == "imitation":
            continue
        mean = mean_course([course_of(each) for each in records if each.arm == arm])
        best = int(mean.success.argmax())
        began, top, ended = (100 * mean.success[place] for place in (0, best, -1))
        said.append(
            f"On the validation tasks {arm} began at {began:.1f} %, was best at {top:.1f} % after "
            f"{mean.turns[best]:,.0f} turns, and ended at {ended:.1f} %."
        )
    return tuple(said)


def _efficiency(reach: Reach) -> str:
    axis = _AXES[reach.axis]
    bill = "profiling included" if reach.counts_profiling else "profiling left out"
    if reach.level is None:
        return (
            "Ratio of E2E to pivot: not reached. One of them, or both, never rose above the start "
            "on the validation tasks."
        )
    if reach.ratio is None:
        return f"Ratio of {axis}, {bill}: not defined at validation success {reach.level:.2f}."
    unit = " turns" if reach.axis == "turns" else " s"
    return (
        f"To reach validation success {reach.level:.2f}, the best that both reach, E2E took "
        f"{reach.e2e:.0f}{unit} and pivot {reach.pivot:.0f}{unit}: {reach.ratio:.2f} times as "
        f"much ({axis}, {bill})."
    )


def _notes(records: Sequence[ArmRecord]) -> tuple[str, ...]:
    return tuple(
        f"{record.arm}, seed {record.seed}: {record.note}." for record in records if record.note
    )
