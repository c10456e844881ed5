"""The grader: puts its own copy of the tests back and runs the named ones in a fresh process."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import SandboxError, SnapshotError, UnsavableError
from pivot_envs.sandbox.base import FileEntry, Sandbox, SandboxState, TestReport

_STEERS_TESTS = re.compile(
    r"(^|/)(conftest\.py|pytest\.ini|\.pytest\.ini|pyproject\.toml|setup\.cfg|tox\.ini"
    r"|sitecustomize\.py|usercustomize\.py|[^/]*\.pth|[^/]*\.pyc|test_[^/]*\.py|[^/]*_test\.py)$"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of grading."""

    failing: tuple[str, ...]
    """Named tests that did not pass."""
    total: int
    """Number of named tests."""

    @property
    def is_solved(self) -> bool:
        """Whether every named test passed."""
        return not self.failing


def graded_state(
    state: SandboxState,
    workspace: Workspace,
    graders: SandboxState | None = None,
    graders_paths: Collection[str] = (),
) -> SandboxState:
    """Return ``state`` with everything that can steer a test run taken from the grader's files.

    Kept from the agent: files inside the package's own directories, unless their name steers
    pytest or the interpreter. Everything else (tests, configuration, files at the root, bytecode)
    is the grader's or goes.

    Args:
        state: The agent's files.
        workspace: What the agent began from, without a bug.
        graders: The grader's files; by default the workspace's own.
        graders_paths: Files that are the grader's wherever they lie.
    """
    graders = workspace.state if graders is None else graders

    def is_agents(path: str) -> bool:
        in_package = workspace.owns(path) and not workspace.is_test(path)
        is_graders = path in graders_paths or _STEERS_TESTS.search(path)
        return in_package and not is_graders

    entries = {entry.path: entry for entry in state.files if is_agents(entry.path)}
    for entry in graders.files:
        if not is_agents(entry.path):
            # The agent may have put a file or a link where the grader has a folder of tests.
            for folder in map(str, PurePosixPath(entry.path).parents[:-1]):
                if folder not in entries or entries[folder].kind != "directory":
                    entries[folder] = FileEntry(folder, "directory", 0o755, "")
            entries[entry.path] = entry
    files = tuple(entries[path] for path in sorted(entries))
    return SandboxState(files=files, shell="", blobs={**state.blobs, **graders.blobs})


def grade(sandbox: Sandbox, task: CodingTask, workspace: Workspace, timeout_s: float) -> Verdict:
    """Run the task's named tests on the sandbox's files; it holds the graded state afterwards.

    Exit codes do not count: a test passes only if the run reports it by name.

    Files that cannot be saved pass no test.

    Args:
        sandbox: The box that the agent worked in.
        task: The task; its environment's ``timeout_s`` comes before ``timeout_s``.
        workspace: What the agent began from, without a bug.
        timeout_s: Seconds for all named tests together.

    Raises:
        SandboxError: The sandbox failed.
        TaskError: The task's test patch does not fit the workspace.
    """
    named = task.named_tests()
    try:
        state = sandbox.save()
    except UnsavableError:
        return Verdict(named, len(named))
    # For each traceback pytest parses whole files, which can take longer than the tests.
    report = run_graded(sandbox, state, task, workspace, timeout_s, "--tb=no")
    failing = tuple(test for test in named if report.outcomes.get(test) != "passed")
    return Verdict(failing, len(named))


def run_graded(
    sandbox: Sandbox,
    state: SandboxState,
    task: CodingTask,
    workspace: Workspace,
    timeout_s: float,
    *options: str,
) -> TestReport:
    """Run the task's named tests on an agent's files as the grader does, with options of pytest.

    Raises:
        SandboxError: The sandbox failed.
        TaskError: The task's test patch does not fit the workspace.
    """
    graders = workspace.graders_state(task)
    try:
        sandbox.load(graded_state(state, workspace, graders, task.test_paths()))
    except SnapshotError as error:
        raise SandboxError(f"the graded files cannot be put in place: {error}") from error
    environment = task.environment
    limit_s = timeout_s if environment.timeout_s is None else environment.timeout_s
    named = task.named_tests()
    tests = tuple(dict.fromkeys(map(_runnable, named)))
    report = sandbox.run_tests(tests, timeout_s=limit_s, options=(*environment.options, *options))
    cut = {test: _cut_outcome(test, report.outcomes) for test in named if _runnable(test) != test}
    return replace(report, outcomes={**report.outcomes, **cut})


def _runnable(test: str) -> str:
    """Return the id to run for a named test.

    SWE-bench cuts ids at the first space, which may lie inside of a test's parameters; such a test
    is run with all of its parameters.
    """
    is_cut = "[" in test and not test.endswith("]")
    return test.partition("[")[0] if is_cut else test


def _cut_outcome(test: str, outcomes: Mapping[str, str]) -> str:
    """Return the outcome of everything that would be cut to this name."""
    found = {outcome for name, outcome in outcomes.items() if name.partition(" ")[0] == test}
    return "passed" if found == {"passed"} else "failed"
