"""View, how pages are acted in and looked at."""

from dataclasses import dataclass
from typing import Literal

Input = Literal["js", "trusted"]


@dataclass(frozen=True, slots=True)
class View:
    """How pages are acted in and looked at."""

    viewport: tuple[int, int]
    """Width and height in CSS pixels."""
    probe: str
    """JavaScript expression evaluated after each turn."""
    longest: int
    """Most characters of an observation."""
    input: Input
    """``js``: synthetic events; ``trusted``: mouse and keyboard."""
    executable: str | None
    """A browser's name or path, or ``None`` for the best one of the machine."""
