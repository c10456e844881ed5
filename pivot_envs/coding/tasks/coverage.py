"""SuiteRecord: which stable tests of a release call which of its functions."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from pivot_envs.coding.tasks.mutations import SourceFunction
from pivot_envs.coding.tasks.recorder import RECORD
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
    places = " ".join(workspace.source.test_dirs)
    command = f"python -m pytest -q --tb=line -p no:cacheprovider -p {_PLUGIN} {places}"
    result = sandbox.run(command, timeout_s=timeout_s)
    record: dict[str, Any] = json.loads(sandbox.read_file(RECORD))
    if not record.get("outcomes"):
        reason = f"they ran longer than {timeout_s:.0f} s" if result.timed_out else result.output
        raise SourceError(
            f"{_title(workspace)}: its tests cannot run here: {reason.strip()[-500:]}"
        )
    return record


def _title(workspace: Workspace) -> str:
    return f"{workspace.source.name} {workspace.source.version}"


def _telling_name(name: str) -> str:
    parts = [part for part in name.split(".") if not part.startswith("__")]
    return _plain(parts[-1])


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()
