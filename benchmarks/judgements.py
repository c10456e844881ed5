"""Judgements: what a run's own numbers say to each target that the claim promises.

A target is met or missed by its estimate; the sentence has the interval, and says where the
interval leaves the answer open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.evaluations import Measurements
from benchmarks.findings import HEADLINE, points
from benchmarks.results import (
    ArmRecord,
    Estimate,
    FinalReach,
    Row,
    Target,
    can_be_forgotten,
    difference,
    is_out_of_domain,
    mean_difference,
)

MIN_RATIOS: Mapping[str, float] = {"turns": 4.0, "wall_s": 5.5}
"""E2E's cost over the arm's, to reach E2E's final success, profiling counted."""
MAX_DRIFT = 0.005
"""Largest mean change out of domain, in either direction, as a share of the tasks."""
_TOO_HARD = "nothing was measured out of domain of which the base solves enough to forget some"

NAMES = {
    "turns": f"at least {MIN_RATIOS['turns']:g} times fewer turns",
    "wall_s": f"at least {MIN_RATIOS['wall_s']:g} times less wall-clock",
    "gain": "gain on the test tasks above SFT's",
    "drift": f"out of domain within ±{100 * MAX_DRIFT:g} points of zero",
    "kept": "out of domain not below E2E's",
}
"""The five targets."""


@dataclass(frozen=True, slots=True)
class RunNumbers:
    """What a run measured, as far as targets need it."""

    scores: Mapping[str, Sequence[Measurements]]
    """Measurements of each policy, one for each seed."""
    rows: Mapping[str, Row]
    """The table by policy."""
    records: Sequence[ArmRecord]
    reaches: Sequence[FinalReach]
    demonstrations: Mapping[str, float] = field(default_factory=dict)
    """``turns`` and ``wall_s`` of the demonstrator, which are on no arm's bill."""

    def missing(self, *arms: str) -> str:
        """Say which of the arms were not run; empty if all were."""
        absent = [arm for arm in arms if not self.scores.get(arm)]
        verb = "was" if len(absent) == 1 else "were"
        return f"{' and '.join(absent)} {verb} not run" if absent else ""

    def reach(self, arm: str, axis: str, *, counts_profiling: bool) -> FinalReach:
        """Return what it took an arm that was run beside E2E."""
        return next(
            one
            for one in self.reaches
            if (one.arm, one.axis, one.counts_profiling) == (arm, axis, counts_profiling)
        )


def _unmeasured(key: str, why: str) -> Target:
    return Target(NAMES[key], "not measured", None, "-", why)


def judge_ratio(numbers: RunNumbers, arm: str, axis: str) -> Target:
    """Judge what it took the arm to reach E2E's final success."""
    if why := numbers.missing("E2E", arm):
        return _unmeasured(axis, why)
    one = numbers.reach(arm, axis, counts_profiling=True)
    if one.level is None:
        return _unmeasured(
            axis,
            "E2E ended no higher on the validation tasks than it began, so there is no gain of "
            "its own to reach",
        )
    began = [each.curve[0].success for each in numbers.records if each.arm == "E2E"]
    level = (
        f"E2E's final validation success of {100 * one.level:.1f} % "
        f"(it began at {100 * sum(began) / len(began):.1f} %)"
    )
    if one.ratio is None or one.spent is None or one.e2e is None:
        short = f"{arm} never reached {level}: the best of its mean curve is {100 * one.best:.1f} %"
        short += f" ({_seeds(one)}){_open(one, axis, is_met=False)}"
        short += _profiling(numbers, arm, axis)
        return Target(NAMES[axis], "missed", None, f"not reached{_bounds(one)}", short)
    is_met, unit = one.ratio >= MIN_RATIOS[axis], " turns" if axis == "turns" else " s"
    sentence = (
        f"to reach {level}, E2E took {one.e2e:,.0f}{unit} and {arm} {one.spent:,.0f}{unit}, "
        f"profiling counted: {one.ratio:.2f} times as much ({_seeds(one)})"
    )
    sentence += _open(one, axis, is_met=is_met)
    if not is_met:
        sentence += _profiling(numbers, arm, axis)
    if demonstrated := numbers.demonstrations.get(axis):
        with_them = one.e2e / (one.spent + demonstrated)
        sentence += (
            f"; with the demonstrator's {demonstrated:,.0f}{unit} on {arm}'s bill it is "
            f"{with_them:.2f}"
        )
    figure = f"{one.ratio:.2f}{_bounds(one)}"
    return Target(NAMES[axis], "met" if is_met else "missed", one.ratio, figure, sentence)


def _bounds(one: FinalReach) -> str:
    if one.low is None or one.high is None:
        return ""
    return f" [{one.low:.2f}, {one.high:.2f}]"


def _open(one: FinalReach, axis: str, *, is_met: bool) -> str:
    """Say that the interval leaves the answer open, where it does."""
    if one.low is None or one.high is None or not one.low < MIN_RATIOS[axis] <= one.high:
        return ""
    return f", an interval that also holds {'a miss' if is_met else 'the target'}"


def _seeds(one: FinalReach) -> str:
    if one.low is None or one.high is None:
        return "one seed, so no interval"
    words = f"95 % interval over seeds {one.low:.2f} to {one.high:.2f}"
    if one.low == 0:
        words += ", 0 standing for not reached"
    if one.left_out > 0:
        words += f", without the {100 * one.left_out:.0f} % of draws in which E2E gained nothing"
    return words


def _profiling(numbers: RunNumbers, arm: str, axis: str) -> str:
    """Say what of a miss is profiling."""
    records = [record for record in numbers.records if record.arm == arm]
    if axis == "turns":
        profiling = [record.profile.get("turns", 0) for record in records]
        training = [record.train.get("turns", 0) for record in records]
    else:
        profiling = [record.profile_wall_s for record in records]
        training = [record.train_wall_s for record in records]
    if not sum(profiling):
        return "; nothing of it is profiling"
    share = sum(profiling) / (sum(profiling) + sum(training))
    free = numbers.reach(arm, axis, counts_profiling=False).ratio
    rest = "" if free is None else f", and the ratio without it {free:.2f}"
    return f"; profiling is {100 * share:.0f} % of all that it spent{rest}"


def judge_gain(numbers: RunNumbers, arm: str) -> Target:
    """Compare the arm's gain in domain with SFT's."""
    if why := numbers.missing("SFT", arm):
        return _unmeasured("gain", why)
    ours, theirs = (numbers.rows[name].changes[HEADLINE] for name in (arm, "SFT"))
    gap = difference(*([one[HEADLINE] for one in numbers.scores[name]] for name in (arm, "SFT")))
    sentence = (
        f"on the test tasks at T=1 {arm} changed by {points(ours)} and SFT by {points(theirs)}; "
        f"the difference is {points(gap)}"
    )
    return _judged("gain", gap, gap.mean > 0, gap.low > 0 or gap.high <= 0, sentence)


def judge_drift(numbers: RunNumbers, arm: str) -> Target:
    """Judge the arm's mean change out of domain."""
    change = None if numbers.missing(arm) else numbers.rows[arm].out_of_domain
    if change is None:
        return _unmeasured("drift", numbers.missing(arm) or _TOO_HARD)
    is_met = abs(change.mean) <= MAX_DRIFT
    is_sure = (
        change.low >= -MAX_DRIFT and change.high <= MAX_DRIFT
        if is_met
        else change.low > MAX_DRIFT or change.high < -MAX_DRIFT
    )
    sentence = f"out of domain {arm} changed by {points(change)}, on average over the families"
    return _judged("drift", change, is_met, is_sure, sentence + _floor(numbers))


def _floor(numbers: RunNumbers) -> str:
    """Name the families out of domain of which the base can hardly lose anything."""
    scores = numbers.rows["base"].scores
    low = [
        f"{100 * one.mean:.1f} % of {name.removesuffix(' T=1')}"
        for name, one in scores.items()
        if is_out_of_domain(name) and name not in can_be_forgotten(numbers.scores["base"])
    ]
    if not low:
        return ""
    *first, last = low
    listed = f"{', '.join(first)} and {last}" if first else last
    return f" (without those of which the base solves too little to forget it, {listed})"


def judge_kept(numbers: RunNumbers, arm: str) -> Target:
    """Compare the arm's mean change out of domain with E2E's."""
    if why := numbers.missing("E2E", arm):
        return _unmeasured("kept", why)
    theirs = numbers.rows["E2E"].out_of_domain
    if theirs is None:
        return _unmeasured("kept", _TOO_HARD)
    ours, baseline = numbers.scores[arm], numbers.scores["E2E"]
    gap = mean_difference(
        [
            ([one[name] for one in ours], [one[name] for one in baseline])
            for name in can_be_forgotten(numbers.scores["base"])
        ]
    )
    sentence = f"E2E changed by {points(theirs)}; {arm} less E2E is {points(gap)}"
    return _judged("kept", gap, gap.mean >= 0, gap.low >= 0 or gap.high < 0, sentence)


def _judged(key: str, one: Estimate, is_met: bool, is_sure: bool, sentence: str) -> Target:
    if not is_sure:
        sentence += ", an interval that also holds the opposite"
    figure = f"{100 * one.mean:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
    return Target(NAMES[key], "met" if is_met else "missed", one.mean, figure, sentence)
