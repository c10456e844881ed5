"""Draw, choices from a seed that come out the same in every Python release."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """A seeded source of choices. Only ``random()`` is promised to stay the same in Python."""

    def __init__(self, seed: str) -> None:
        self._generator = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        """Return an integer of ``low`` to ``high``, both included."""
        return low + int(self._generator.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """Return ``True`` with this probability."""
        return self._generator.random() < probability

    def choice(self, items: Sequence[T]) -> T:
        """Return one of the items.

        Raises:
            IndexError: There is none.
        """
        return items[self.integer(0, len(items) - 1)]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Return ``count`` different items (or all, if there are fewer), in a drawn order."""
        return self.shuffled(items)[:count]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return all items in a drawn order."""
        return sorted(items, key=lambda _: self._generator.random())
