"""The grader: puts its own copy of the tests back and runs the named ones in a fresh process."""

import re
from dataclasses import dataclass
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
    state: SandboxState, workspace: Workspace, graders: SandboxState | None = None
) -> SandboxState:
    """Return ``state`` with everything that can steer a test run taken from the grader's files.

    Kept from the agent: files inside the package's own directories, unless their name steers
    pytest or the interpreter. Everything else (tests, configuration, files at the root, bytecode)
    is the grader's or goes.

    Args:
        state: The agent's files.
        workspace: What the agent began from, without a bug.
        graders: The grader's files; by default the workspace's own.
    """
    graders = workspace.state if graders is None else graders

    def is_agents(path: str) -> bool:
        in_package = workspace.owns(path) and not workspace.is_test(path)
        return in_package and not _STEERS_TESTS.search(path)

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
    report = run_graded(sandbox, state, task, workspace, timeout_s)
    failing = tuple(test for test in named if report.outcomes.get(test) != "passed")
    return Verdict(failing, len(named))


def run_graded(
    sandbox: Sandbox,
    state: SandboxState,
    task: CodingTask,
    workspace: Workspace,
    timeout_s: float,
) -> TestReport:
    """Run the task's named tests on an agent's files as the grader does.

    Raises:
        SandboxError: The sandbox failed.
        TaskError: The task's test patch does not fit the workspace.
    """
    graders = workspace.graders_state(task)
    try:
        sandbox.load(graded_state(state, workspace, graders))
    except SnapshotError as error:
        raise SandboxError(f"the graded files cannot be put in place: {error}") from error
    environment = task.environment
    limit_s = timeout_s if environment.timeout_s is None else environment.timeout_s
    # For each traceback pytest parses whole files, which can take longer than the tests.
    options = (*environment.options, "--tb=no")
    return sandbox.run_tests(task.named_tests(), timeout_s=limit_s, options=options)
