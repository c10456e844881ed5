"""StepMemory, what actions led to in environments that always do the same, shared by several."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any

from pivot_envs.snapshot import Message

Key = tuple[str, ...]
"""A start, and the actions since."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What a reset or a step returned, and the conversation after it."""

    observation: str
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]
    messages: tuple[Message, ...]

    @property
    def is_over(self) -> bool:
        """Whether the episode has ended."""
        return self.terminated or self.truncated


class StepMemory:
    """Results of resets and steps by what led to them; threads may share one.

    Whoever asks for what is being executed waits for it. A copy in another process is empty.
    """

    def __init__(self, *, most_records: int = 50_000) -> None:
        """Begin empty.

        Args:
            most_records: Results that are kept; the oldest is forgotten first.

        Raises:
            ValueError: ``most_records`` is below 1.
        """
        if most_records < 1:
            raise ValueError(f"most_records must be at least 1, got {most_records}")
        self._most_records = most_records
        self._lock = threading.Lock()
        self._known: dict[Key, Future[StepRecord]] = {}
        self._executed = 0
        self._remembered = 0
        self._compared = 0
        self._differed = 0

    @property
    def executed(self) -> int:
        """How many resets and steps were executed."""
        return self._executed

    @property
    def remembered(self) -> int:
        """How many resets and steps were answered without being executed."""
        return self._remembered

    @property
    def compared(self) -> int:
        """How many episodes did what was only remembered after all."""
        return self._compared

    @property
    def differed(self) -> int:
        """How many of them came to another observation than was remembered."""
        return self._differed

    def compare(self, observation: str, remembered: str) -> None:
        """Count an episode that did what was remembered, and whether it came to the same."""
        with self._lock:
            self._compared += 1
            self._differed += observation != remembered

    def recall(
        self, key: Key, execute: Callable[[], StepRecord], keeps: Callable[[StepRecord], bool]
    ) -> StepRecord:
        """Return what ``key`` led to, by executing it if that is not known.

        Args:
            key: What led to it.
            execute: Executes it; what it raises is raised here and not remembered.
            keeps: Whether a result may be remembered.
        """
        while True:
            with self._lock:
                known = self._known.get(key)
                if known is None:
                    mine = self._known[key] = Future()
                    break
            try:
                record = known.result()
            except CancelledError:
                continue  # its execution failed, which says nothing of this one
            with self._lock:
                self._remembered += 1
            return record
        return self._execute(key, mine, execute, keeps)

    def _execute(
        self,
        key: Key,
        mine: "Future[StepRecord]",
        execute: Callable[[], StepRecord],
        keeps: Callable[[StepRecord], bool],
    ) -> StepRecord:
        is_kept = False
        try:
            record = execute()
            is_kept = keeps(record)
        finally:
            with self._lock:
                self._executed += 1
                if not is_kept:
                    self._known.pop(key, None)
                elif len(self._known) > self._most_records:
                    del self._known[next(iter(self._known))]
            if not is_kept:
                mine.cancel()
        if is_kept:
            mine.set_result(record)
        return record

    def __getstate__(self) -> dict[str, Any]:
        """Leave the results behind, so that an environment can be sent to another process."""
        return {"most_records": self._most_records}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Begin empty."""
        self.__init__(most_records=state["most_records"])  # type: ignore[misc]
