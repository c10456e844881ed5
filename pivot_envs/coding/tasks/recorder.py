"""A pytest plugin that records each test's outcome, duration and the functions it calls.

It runs inside the box, copied there as a plain file, so it imports nothing of this project.
``pivot_recorder.json`` in the working directory holds its orders, ``{"keep": [ids] | null,
"calls": bool}``, and afterwards what it recorded.
"""

import json
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

RECORD = "pivot_recorder.json"
_RANKS = {"passed": 0, "skipped": 1, "failed": 2}


class Recorder:
    """Collects what happens in one run."""

    def __init__(self, root: Path, keep: list[str] | None, calls: bool) -> None:
        """Record the calls of code below ``root`` if ``calls``, and run only ``keep``."""
        self._root = f"{root}/"
        self._keep = None if keep is None else set(keep)
        self._records_calls = calls
        self._outcomes: dict[str, str] = {}
        self._durations: dict[str, float] = {}
        self._calls: dict[str, list[tuple[str, int]]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the tests that are not to be kept."""
        if self._keep is not None:
            items[:] = [item for item in items if item.nodeid in self._keep]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Record the code that runs during a test."""
        if not self._records_calls:
            return (yield)
        codes: set[CodeType] = set()

        def record(frame: FrameType, event: str, argument: Any) -> None:
            if event == "call":
                codes.add(frame.f_code)

        threading.setprofile(record)
        sys.setprofile(record)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            self._calls[item.nodeid] = sorted(
                (code.co_filename.removeprefix(self._root), code.co_firstlineno)
                for code in codes
                if code.co_filename.startswith(self._root)
            )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst outcome of all phases and subtests of a test."""
        test = report.nodeid
        known = self._outcomes.get(test, "passed")
        self._outcomes[test] = max(known, report.outcome, key=lambda outcome: _RANKS[outcome])
        self._durations[test] = self._durations.get(test, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        """Write down what was recorded."""
        record = {
            "outcomes": self._outcomes,
            "durations": self._durations,
            "calls": self._calls,
        }
        Path(self._root, RECORD).write_text(json.dumps(record), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Start recording as the orders say."""
    root = Path.cwd()
    orders = json.loads((root / RECORD).read_text(encoding="utf-8"))
    config.pluginmanager.register(Recorder(root, orders["keep"], orders["calls"]))
