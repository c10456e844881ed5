"""Scores: false positives and negatives of verifiers on labelled actions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pivot_agents.audit.labels import LabelledAction

PAID = 0.5
"""A reward of at least this much counts as paid."""


@dataclass(frozen=True, slots=True)
class VerifierScore:
    """What a verifier does with good and with bad actions."""

    good: int
    """Good actions."""
    bad: int
    paid_good: int
    paid_bad: int
    """False positives."""
    undecided_good: int
    undecided_bad: int

    @property
    def missed(self) -> int:
        """False negatives: good actions that are not paid, undecided ones left out."""
        return self.good - self.paid_good - self.undecided_good

    @property
    def false_positive_rate(self) -> float | None:
        """Share of the decided bad actions that are paid; ``None`` if there is none."""
        decided = self.bad - self.undecided_bad
        return self.paid_bad / decided if decided else None

    @property
    def false_negative_rate(self) -> float | None:
        """Share of the decided good actions that are not paid; ``None`` if there is none."""
        decided = self.good - self.undecided_good
        return self.missed / decided if decided else None


def score(actions: Sequence[LabelledAction], verifier: str) -> VerifierScore:
    """Score one verifier on labelled actions that it has judged."""
    counts = Counter((one.is_good, _verdict(one.verdicts[verifier])) for one in actions)
    return VerifierScore(
        good=sum(one.is_good for one in actions),
        bad=sum(not one.is_good for one in actions),
        paid_good=counts[True, "paid"],
        paid_bad=counts[False, "paid"],
        undecided_good=counts[True, "undecided"],
        undecided_bad=counts[False, "undecided"],
    )


def by_kind(actions: Iterable[LabelledAction]) -> dict[str, list[LabelledAction]]:
    """Group actions by why they were tried, and by what the demonstration did in their state."""
    groups: dict[str, list[LabelledAction]] = {}
    for one in actions:
        groups.setdefault(f"{one.action.kind} at {one.state.pivot.tool}", []).append(one)
    return dict(sorted(groups.items()))


def _verdict(reward: float | None) -> str:
    if reward is None:
        return "undecided"
    return "paid" if reward >= PAID else "not paid"
