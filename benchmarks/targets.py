"""Targets: what the claim promises in numbers, and what a run's own numbers say to each.

A target is met or missed by its estimate; the sentence has the interval, and says where the
interval leaves the answer open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from benchmarks.arm_options import ARMS
from benchmarks.evaluations import Measurements
from benchmarks.findings import HEADLINE, points
from benchmarks.results import (
    ArmRecord,
    ArmTargets,
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

_SHORT = ("turns", "wall-clock", "gain less SFT's", "out of domain", "out of domain less E2E's")
_TRIED = 3
"""Most other arms that the first paragraph names where a target is missed."""


@dataclass(frozen=True, slots=True)
class RunNumbers:
    """What a run measured, as far as targets need it."""

    scores: Mapping[str, Sequence[Measurements]]
    """Measurements of each policy, one for each seed."""
    rows: Mapping[str, Row]
    """The table by policy."""
    records: Sequence[ArmRecord]
    reaches: Sequence[FinalReach]

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


def find_targets(numbers: RunNumbers, headline: str) -> tuple[ArmTargets, ...]:
    """Return the targets of the arm that the claim is about, then of every other pivot arm."""
    ran = dict.fromkeys(record.arm for record in numbers.records)
    others = [arm for arm in ran if ARMS[arm].learning == "pivots" and arm != headline]
    return tuple(
        ArmTargets(
            arm,
            (
                _ratio(numbers, arm, "turns"),
                _ratio(numbers, arm, "wall_s"),
                _gain(numbers, arm),
                _drift(numbers, arm),
                _kept(numbers, arm),
            ),
            _evidence(numbers, arm),
        )
        for arm in (headline, *others)
    )


def verdict(found: Sequence[ArmTargets], tried: Mapping[str, float] = MappingProxyType({})) -> str:
    """Return the report's first paragraph; where a target is missed, with what else was tried.

    Args:
        found: The targets of the arm that the claim is about, then of the others.
        tried: Validation success of each arm's best trial, in [0, 1], if the arms were tuned.
    """
    first, *others = found
    words = [target.verdict for target in first.targets]
    unknown = words.count("not measured")
    counts = f"{first.arm} meets {first.met} and misses {words.count('missed')}"
    rest = f"; {unknown} could not be measured" if unknown else ""
    parts = [f"Of the {len(words)} targets, every cost counted, {counts}{rest}."]
    for word in ("missed", "met", "not measured"):
        parts += [
            f"{word.capitalize()}, {one.name}: {one.sentence}."
            for one in first.targets
            if one.verdict == word
        ]
    if "missed" in words and first.evidence:
        parts.append(f"How it learned: {first.evidence}.")
    if "missed" in words and others:
        best = sorted(others, key=_promise, reverse=True)[:_TRIED]
        figures = "; ".join(_tried(one) for one in best)
        parts.append(f"Tried beside {first.arm}, the most promising first: {figures}.")
    if "missed" in words and tried:
        order = sorted(tried, key=tried.__getitem__, reverse=True)
        figures = ", ".join(f"{arm} {100 * tried[arm]:.1f} %" for arm in order)
        parts.append(
            f"In tuning, the best trials had, by their curves' mean validation success: {figures}."
        )
    return " ".join(parts)


def _evidence(numbers: RunNumbers, arm: str) -> str:
    """Say how much there was to learn from, for the arm and for E2E; empty if it is not known."""
    parts = []
    for name in (arm, "E2E"):
        records = [record for record in numbers.records if record.arm == name]
        shares = [one.silent_share for one in records if one.silent_share is not None]
        if shares:
            share = sum(shares) / len(shares)
            parts.append(
                f"{100 * share:.0f} % of {name}'s groups had equal rewards and taught nothing"
            )
        profiled = sum(record.states_profiled for record in records)
        if profiled:
            mixed = sum(record.states_mixed for record in records)
            pivots = sum(record.pivots for record in records)
            parts.append(
                f"of {profiled} states that {name} profiled, {mixed} had mixed outcomes and "
                f"{pivots} became pivots"
            )
    return "; ".join(parts)


def _promise(one: ArmTargets) -> tuple[int, float, float]:
    """Order arms by the targets that they meet, their ratio of turns, then their gain."""
    turns, _, gain, *_ = one.targets
    return one.met, turns.value or 0.0, gain.value or 0.0


def _tried(one: ArmTargets) -> str:
    figures = [f"{name} {each.figure}" for name, each in zip(_SHORT, one.targets, strict=True)]
    return f"{one.arm} meets {one.met} ({', '.join(figures)})"


def _unmeasured(key: str, why: str) -> Target:
    return Target(NAMES[key], "not measured", None, "-", why)


def _ratio(numbers: RunNumbers, arm: str, axis: str) -> Target:
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
        short += _profiling(numbers, arm, axis)
        return Target(NAMES[axis], "missed", None, "not reached", short)
    is_met, unit = one.ratio >= MIN_RATIOS[axis], " turns" if axis == "turns" else " s"
    sentence = (
        f"to reach {level}, E2E took {one.e2e:,.0f}{unit} and {arm} {one.spent:,.0f}{unit}, "
        f"profiling counted: {one.ratio:.2f} times as much ({_seeds(one)})"
    )
    if not is_met:
        sentence += _profiling(numbers, arm, axis)
    figure = f"{one.ratio:.2f}"
    if one.low is not None and one.high is not None:
        if one.low < MIN_RATIOS[axis] <= one.high:
            sentence += f", an interval that also holds {'a miss' if is_met else 'the target'}"
        figure += f" [{one.low:.2f}, {one.high:.2f}]"
    return Target(NAMES[axis], "met" if is_met else "missed", one.ratio, figure, sentence)


def _seeds(one: FinalReach) -> str:
    if one.low is None or one.high is None:
        return "one seed, so no interval"
    interval = f"95 % interval over seeds {one.low:.2f} to {one.high:.2f}"
    return f"{interval}, 0 standing for not reached" if one.low == 0 else interval


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
        return "; it profiles nothing beforehand"
    share = sum(profiling) / (sum(profiling) + sum(training))
    free = numbers.reach(arm, axis, counts_profiling=False).ratio
    rest = "" if free is None else f", and the ratio without it {free:.2f}"
    return f"; profiling is {100 * share:.0f} % of all that it spent{rest}"


def _gain(numbers: RunNumbers, arm: str) -> Target:
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


def _drift(numbers: RunNumbers, arm: str) -> Target:
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


def _kept(numbers: RunNumbers, arm: str) -> Target:
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
