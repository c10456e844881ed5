"""Verifiers: the rewards that a pivot's actions can be trained with.

``same_action``, ``same_tool`` and ``Similarity`` look at the text of an action, as public code for
PivotRL (arXiv:2603.21383) does; ``same_effect`` looks at what it did. ``Guarded`` and ``Ladder``
make one verifier of others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pivot_envs.tools import ToolCall
from wrappers.attempt import Attempt, Verifier
from wrappers.pivot import Pivot
from wrappers.similarity import Similarity, demonstrated_call


def same_action(pivot: Pivot, attempt: Attempt) -> float:
    """Pay the demonstrated call and no other: same tool, equal arguments."""
    name, arguments = demonstrated_call(pivot)
    return float(attempt.call == ToolCall(name, arguments))


def same_tool(pivot: Pivot, attempt: Attempt) -> float:
    """Pay every valid call of the demonstrated tool (arXiv:2603.21383, its reward on SWE-Bench)."""
    return float(attempt.call is not None and attempt.call.name == pivot.tool)


def same_effect(pivot: Pivot, attempt: Attempt) -> float | None:
    """Pay an action whose effect covers that of the demonstrated one (``Effect.covers``).

    Undecided where the demonstrated action did nothing that could be seen, since every action that
    does nothing would cover it.
    """
    demonstrated = pivot.effect
    is_nothing = demonstrated.state_digest == attempt.before and not demonstrated.facts
    if is_nothing and not demonstrated.terminated:
        return None
    return float(attempt.error is None and attempt.effect.covers(demonstrated))


def falls_short(pivot: Pivot, attempt: Attempt) -> float | None:
    """Give 0 to what cannot be as good as the demonstrated action, and decide nothing else.

    That is: an action that was refused; one that leaves the state as it was where the
    demonstration changed it; one that ends the episode where the demonstration went on, or goes on
    where it ended. Texts that look right do none of their work then.
    """
    changes = pivot.effect.state_digest != attempt.before
    short = (
        attempt.error is not None
        or (changes and not attempt.changed_state)
        or attempt.effect.terminated != pivot.effect.terminated
    )
    return 0.0 if short else None


@dataclass(frozen=True, slots=True)
class Guarded:
    """A verifier that never pays what falls short by its execution."""

    verifier: Verifier

    def __call__(self, pivot: Pivot, attempt: Attempt) -> float | None:
        """Judge an attempt: 0 if it falls short, else as the verifier does."""
        short = falls_short(pivot, attempt)
        return self.verifier(pivot, attempt) if short is None else short


@dataclass(frozen=True, slots=True)
class Rung:
    """One verifier of a ladder, and which of its verdicts are final."""

    verifier: Verifier
    accepts: bool = True
    """Whether a reward of 1 is final."""
    rejects: bool = True
    """Whether a reward of 0 is final. Where both are, so is every reward between."""

    def is_final(self, reward: float) -> bool:
        """Tell whether a reward of this rung's verifier settles the matter."""
        if self.accepts and self.rejects:
            return True
        return (self.accepts and reward >= 1.0) or (self.rejects and reward <= 0.0)


@dataclass(frozen=True, slots=True)
class Ladder:
    """Verifiers in order; the first final verdict counts, and without one it is undecided."""

    rungs: Sequence[Rung]

    def __call__(self, pivot: Pivot, attempt: Attempt) -> float | None:
        """Judge an attempt."""
        for rung in self.rungs:
            reward = rung.verifier(pivot, attempt)
            if reward is not None and rung.is_final(reward):
                return reward
        return None


CAREFUL_LADDER = Ladder(
    (
        Rung(same_action, rejects=False),
        Rung(falls_short),
        Rung(same_effect, rejects=False),
    )
)
"""Pays the same action or the same effect, pays nothing for what falls short, and leaves undecided
what did something else: it may be as good."""

VERIFIERS: Mapping[str, Verifier] = MappingProxyType(
    {
        "strict": same_action,
        "name": same_tool,
        "similarity": Similarity(),
        "effect": same_effect,
        "ladder": CAREFUL_LADDER,
    }
)
"""Verifiers by the names that commands and arms use."""
