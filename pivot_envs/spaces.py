"""UnicodeText, the space of any text up to a length."""

import string
from typing import Any

from gymnasium import spaces


class UnicodeText(spaces.Text):
    """Any Unicode text of at most ``max_length`` characters.

    ``gymnasium.spaces.Text`` rejects spaces and newlines by default, and its full-Unicode form
    pickles to 47 MB. This space checks the length only; samples are short and printable.
    """

    def __init__(
        self, max_length: int = 1_000_000, *, sample_length: int = 32, seed: int | None = None
    ) -> None:
        """Create the space.

        Args:
            max_length: Longest text that belongs to the space, in characters.
            sample_length: Longest text that ``sample`` draws, in characters.
            seed: Seed of the space's generator.
        """
        super().__init__(max_length, min_length=0, charset=string.printable, seed=seed)
        self.sample_length = min(sample_length, max_length)

    def contains(self, x: Any) -> bool:
        """Tell whether ``x`` is a text that is short enough."""
        return isinstance(x, str) and len(x) <= self.max_length

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Draw a short printable text; ``mask`` and ``probability`` are passed to ``Text``."""
        if mask is None and probability is None:
            mask = (int(self.np_random.integers(0, self.sample_length + 1)), None)
        return super().sample(mask=mask, probability=probability)

    def __repr__(self) -> str:
        """Return a short name, whatever the alphabet."""
        return f"UnicodeText({self.max_length})"

    def __eq__(self, other: object) -> bool:
        """Compare by maximum length."""
        return isinstance(other, UnicodeText) and self.max_length == other.max_length

    def __hash__(self) -> int:
        """Agree with ``__eq__``."""
        return hash((UnicodeText, self.max_length))
