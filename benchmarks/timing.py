"""Figure, the times of one operation, and how they are taken."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import track


@dataclass(frozen=True, slots=True)
class Figure:
    """Times of one operation."""

    name: str
    median_ms: float
    minimum_ms: float
    target_ms: float | None = None
    """Median that the operation should not exceed."""

    @classmethod
    def of(cls, name: str, times_ms: Sequence[float], target_ms: float | None = None) -> "Figure":
        """Summarise times."""
        return cls(name, statistics.median(times_ms), min(times_ms), target_ms)


def measure(
    name: str,
    operation: Callable[[int], Any],
    repetitions: int,
    target_ms: float | None = None,
    *,
    before: Callable[[int], Any] = lambda _: None,
) -> Figure:
    """Time ``operation(i)`` for each ``i``; the first call warms up and does not count.

    ``before(i)`` is called before it and is not timed.
    """
    times = []
    for index in track(range(repetitions + 1), name):
        before(index)
        times.append(elapsed_ms(lambda index=index: operation(index)))  # type: ignore[misc]
    return Figure.of(name, times[1:], target_ms)


def elapsed_ms(operation: Callable[[], Any]) -> float:
    """Return how long one call takes, in milliseconds."""
    began = time.perf_counter()
    operation()
    return 1e3 * (time.perf_counter() - began)
