"""Attempt, what an action at a pivot did, and Verifier, what judges it."""

from collections.abc import Callable
from dataclasses import dataclass

from pivot_envs.core import Effect
from pivot_envs.tools import ToolCall
from wrappers.pivot import Pivot


@dataclass(frozen=True, slots=True)
class Attempt:
    """One action at a pivot, after it was executed in the restored state."""

    action: str
    """The action text."""
    call: ToolCall | None
    """The same as a checked tool call; ``None`` if it is none."""
    error: str | None
    """Why the action was refused, while it was read or executed; ``None`` if it was not."""
    effect: Effect
    """What it did."""
    before: str
    """Digest of the state at the pivot."""

    @property
    def changed_state(self) -> bool:
        """Whether the state is another than at the pivot."""
        return self.effect.state_digest != self.before


Verifier = Callable[[Pivot, Attempt], float | None]
"""Judges an attempt at a pivot: a reward in [0, 1], or ``None`` where it cannot tell.

A function of these two arguments is a verifier, and so is an object with such a ``__call__``.
Undecided attempts are left out of training and of profiles; they are not failures.
"""
