"""SuiteRecord: which stable tests of a release call which of its functions."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from pivot_envs.coding.tasks.mutations import SourceFunction
from pivot_envs.coding.tasks.recorder import RECORD
from pivot_envs.coding.view import find_functions
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import SourceError
from pivot_envs.sandbox.base import Sandbox

_PLUGIN = "pivot_recorder"


@dataclass(frozen=True, slots=True)
class SuiteRecord:
    """What the tests of a release do when nothing is broken."""

    durations_s: Mapping[str, float]
    """Stable tests, which passed twice and quickly, and the time each took."""
    callers: Mapping[tuple[str, int], frozenset[str]]
    """File and first line of a piece of code to the stable tests that run it."""

    def covering_tests(self, function: SourceFunction, *, limit: int) -> tuple[str, ...]:
        """Return stable tests that call a function, the most telling ones first.

        First come tests that bear the function's name, then tests that call little else.
        """
        tests: set[str] = set()
        for (path, line), callers in self.callers.items():
            if path == function.path and function.first_line <= line <= function.last_line:
                tests |= callers
        breadth = dict.fromkeys(tests, 0)
        for callers in self.callers.values():
            for test in callers & tests:
                breadth[test] += 1
        name = _telling_name(function.name)

        def rank(test: str) -> tuple[bool, int, str]:
            return name not in _plain(test.partition("::")[2]), breadth[test], test

        return tuple(sorted(tests, key=rank)[:limit])

    def suspects(
        self, workspace: Workspace, failing: Collection[str], *, limit: int
    ) -> tuple[str, ...]:
        """Rank the functions that failing tests run by how much they set these tests apart.

        Ochiai's coefficient (Abreu et al., 2007): failing tests that run the function, over the
        root of all failing tests times all tests that run it. All tests that are not named as
        failing count as passing. Nothing but which tests fail is used, never where the bug is.

        Args:
            workspace: The release, without a bug.
            failing: Ids of the failing tests.
            limit: Most functions to return.

        Returns:
            Functions as ``path/to/file.py::Class.method``, the most suspicious one first.
        """
        callers: defaultdict[str, set[str]] = defaultdict(set)
        for (path, line), tests in self.callers.items():
            name = _function_at(workspace.text(path), line)
            if name is not None:
                callers[f"{path}::{name}"] |= tests
        wanted = set(failing)
        scores = {
            function: len(tests & wanted) / math.sqrt(len(wanted) * len(tests))
            for function, tests in callers.items()
            if tests & wanted
        }
        return tuple(sorted(scores, key=lambda name: (-scores[name], name))[:limit])


def record_suite(
    sandbox: Sandbox, workspace: Workspace, *, timeout_s: float = 600.0, max_test_s: float = 1.0
) -> SuiteRecord:
    """Run the whole suite of a release twice and record what each stable test calls.

    Tests that fail, are skipped, differ between the runs or take longer than ``max_test_s``
    are left out. The sandbox holds the release and the recorder's files afterwards.

    Raises:
        SourceError: The tests cannot run, or none of them is stable.
        SandboxError: The sandbox failed.
    """
    sandbox.load(workspace.state)
    plain = _run(sandbox, workspace, {"keep": None, "calls": False}, timeout_s)
    quick = [
        test
        for test, outcome in plain["outcomes"].items()
        if outcome == "passed" and plain["durations"][test] <= max_test_s
    ]
    traced = _run(sandbox, workspace, {"keep": quick, "calls": True}, timeout_s)
    stable = [test for test in quick if traced["outcomes"].get(test) == "passed"]
    if not stable:
        raise SourceError(f"{_title(workspace)}: none of its tests passes quickly and twice")
    callers: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for test in stable:
        for path, line in traced["calls"][test]:
            if workspace.owns(path) and not workspace.is_test(path):
                callers[path, line].add(test)
    return SuiteRecord(
        durations_s={test: plain["durations"][test] for test in stable},
        callers={place: frozenset(tests) for place, tests in callers.items()},
    )


def _run(
    sandbox: Sandbox,
    workspace: Workspace,
    orders: Mapping[str, Sequence[str] | bool | None],
    timeout_s: float,
) -> dict[str, Any]:
    plugin = files("pivot_envs.coding.tasks") / "recorder.py"
    sandbox.write_file(f"{_PLUGIN}.py", plugin.read_bytes())
    sandbox.write_file(RECORD, json.dumps(orders).encode())
    places = " ".join(workspace.test_dirs)
    # The package's own options may need plugins; one file that cannot be imported is not all.
    options = "-q --tb=line -p no:cacheprovider -o addopts= --continue-on-collection-errors"
    command = f"python -m pytest {options} -p {_PLUGIN} {places}"
    result = sandbox.run(command, timeout_s=timeout_s)
    record: dict[str, Any] = json.loads(sandbox.read_file(RECORD))
    if not record.get("outcomes"):
        reason = f"they ran longer than {timeout_s:.0f} s" if result.timed_out else result.output
        raise SourceError(
            f"{_title(workspace)}: its tests cannot run here: {reason.strip()[-500:]}"
        )
    return record


@lru_cache(maxsize=100_000)
def _function_at(source: str, line: int) -> str | None:
    """Return the innermost function around a line, or the one whose decorators begin there."""
    spans = find_functions(source)
    around = [span for span in spans if span.start <= line <= span.end]
    if around and not source.split("\n")[line - 1].lstrip().startswith("@"):
        return around[-1].name
    return next((span.name for span in spans if span.start >= line), None)


def _title(workspace: Workspace) -> str:
    return workspace.title


def _telling_name(name: str) -> str:
    parts = [part for part in name.split(".") if not part.startswith("__")]
    return _plain(parts[-1] if parts else name)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()
