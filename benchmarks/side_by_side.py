"""Comparison, two ways of doing the same work, timed in turns."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Times:
    """How long each repetition of one way took."""

    name: str
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    """Processor time of the whole process, which other work on the machine hardly changes."""

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Time what is inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall_s.append(time.perf_counter() - wall)
        self.cpu_s.append(time.process_time() - cpu)

    def forget_first(self) -> None:
        """Drop the repetition that warmed up."""
        del self.wall_s[:1], self.cpu_s[:1]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Our way beside another one."""

    name: str
    ours: Times
    other: Times
    target: float | None = None
    """Ratio that should be reached."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the work was, as far as it could differ."""

    @property
    def wall_ratio(self) -> float:
        """How many times faster ours is, by the medians of wall-clock."""
        return statistics.median(self.other.wall_s) / statistics.median(self.ours.wall_s)

    @property
    def cpu_ratio(self) -> float:
        """The same by processor time."""
        return statistics.median(self.other.cpu_s) / statistics.median(self.ours.cpu_s)

    @property
    def summary(self) -> str:
        """The ratios in one line."""
        return (
            f"{self.name}: {self.ours.name} is {self.wall_ratio:.1f} times as fast as "
            f"{self.other.name} ({self.cpu_ratio:.1f} by processor time)"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "name": self.name,
            "seconds": {
                one.name: {
                    "wall_median": round(statistics.median(one.wall_s), 4),
                    "wall_minimum": round(min(one.wall_s), 4),
                    "cpu_median": round(statistics.median(one.cpu_s), 4),
                    "cpu_minimum": round(min(one.cpu_s), 4),
                    "repetitions": len(one.wall_s),
                }
                for one in (self.ours, self.other)
            },
            "wall_ratio": round(self.wall_ratio, 2),
            "cpu_ratio": round(self.cpu_ratio, 2),
            "target": self.target,
            "facts": self.facts,
        }


def take_turns(
    ours: tuple[str, Callable[[], Any]], other: tuple[str, Callable[[], Any]], repetitions: int
) -> tuple[Times, Times]:
    """Call both in turns; the first calls warm up and do not count."""
    times = Times(ours[0]), Times(other[0])
    for _ in range(repetitions + 1):
        for one, (_, work) in zip(times, (ours, other), strict=True):
            with one.measured():
                work()
    for one in times:
        one.forget_first()
    return times
