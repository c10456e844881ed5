"""Targets: what the claim promises in numbers, and the paragraph that says what became of it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from benchmarks.arm_options import ARMS
from benchmarks.judgements import RunNumbers, judge_drift, judge_gain, judge_kept, judge_ratio
from benchmarks.results import ArmTargets

_SHORT = ("turns", "wall-clock", "gain less SFT's", "out of domain", "out of domain less E2E's")
_TRIED = 3
"""Most other arms that the first paragraph names where a target is missed."""


def find_targets(numbers: RunNumbers, headline: str) -> tuple[ArmTargets, ...]:
    """Return the targets of the arm that the claim is about, then of every other pivot arm."""
    ran = dict.fromkeys(record.arm for record in numbers.records)
    others = [arm for arm in ran if ARMS[arm].learning == "pivots" and arm != headline]
    return tuple(
        ArmTargets(
            arm,
            (
                judge_ratio(numbers, arm, "turns"),
                judge_ratio(numbers, arm, "wall_s"),
                judge_gain(numbers, arm),
                judge_drift(numbers, arm),
                judge_kept(numbers, arm),
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
    parts = [
        f"Of the {len(words)} targets, profiling counted and what the demonstrator and tuning took "
        f"not, {counts}{rest}."
    ]
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
