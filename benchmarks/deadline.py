"""Deadline, the end of a sitting: a run stops after what it has just kept, and goes on later."""

import time

UNFINISHED = 75
"""Exit status of a program whose time was up: EX_TEMPFAIL, which invites to try again."""


class TimeIsUp(Exception):  # noqa: N818  nothing went wrong
    """The sitting is over; all work up to here is kept."""


class Deadline:
    """Ends a run some minutes after it began, but never before it has kept something."""

    def __init__(self, minutes: float | None = None) -> None:
        """Begin to count.

        Args:
            minutes: Length of the sitting; ``None`` has no end.

        Raises:
            ValueError: ``minutes`` is negative.
        """
        if minutes is not None and minutes < 0:
            raise ValueError(f"expected a number of minutes from 0 on, got {minutes:g}")
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def check(self) -> None:
        """Return if there is time left; called whenever work has been kept.

        Raises:
            TimeIsUp: There is none.
        """
        if self._end is not None and time.monotonic() >= self._end:
            raise TimeIsUp
