"""RehearsalEnv, the coding environment with recorded test runs in place of a sandbox.

It renders demonstrations for the base model's corpus, which needs thousands of them. The base model
is pretrained on these; the arms of the comparison and every evaluation use the real sandbox.
"""

from collections.abc import Mapping, Sequence

from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.task import CodingTask
from pivot_envs.sandbox.base import CommandResult, Sandbox, SandboxState, TestReport
from pivot_envs.sandbox.choice import SandboxChoice
from pivot_envs.sandbox.limits import Limits


class UnrecordedRunError(Exception):
    """The test run that a rehearsal asks for was never recorded."""


class RecordedSandbox(Sandbox):
    """Files in memory, and commands that answer what they answered in a real sandbox."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self.repaired: dict[str, bytes] = {}
        """The files without the bug."""
        self.failure = CommandResult("", 1)
        self.success = CommandResult("", 0)

    @property
    def level(self) -> str:
        """Nothing runs in here."""
        return "recorded"

    @property
    def limits(self) -> Limits:
        """Nothing is used in here."""
        return Limits()

    def set_limits(self, limits: Limits) -> None:
        """Do nothing."""

    def start(self) -> None:
        """Do nothing."""

    def run(self, command: str, *, timeout_s: float) -> CommandResult:
        """Answer a test run by whether the bug is repaired, and ``grep`` by searching."""
        if command.startswith("grep -n "):
            _, pattern, path = command.rsplit("'", 2)[0], command.split("'")[1], command.split()[-1]
            lines = self._files[path].decode().split("\n")
            hits = [f"{n}:{line}" for n, line in enumerate(lines, start=1) if pattern in line]
            return CommandResult("".join(f"{hit}\n" for hit in hits), 0 if hits else 1)
        if self._files == self.repaired:
            return self.success
        if not self.failure.output:
            raise UnrecordedRunError("the failing test run of this task was not recorded")
        return self.failure

    def read_file(self, path: str) -> bytes:
        """Return a file."""
        if path not in self._files:
            raise FileNotFoundError(path)
        return self._files[path]

    def write_file(self, path: str, content: bytes) -> None:
        """Write a file."""
        self._files[path] = content

    def save(self) -> SandboxState:
        """Return nothing: rehearsals are never saved."""
        return SandboxState((), "", {})

    def load(self, state: SandboxState) -> None:
        """Take a workspace's files."""
        self._files = {
            entry.path: state.blobs[entry.content] for entry in state.files if entry.kind == "file"
        }

    def run_tests(
        self, test_ids: Sequence[str], *, timeout_s: float, options: Sequence[str] = ()
    ) -> TestReport:
        """Report nothing: rehearsals are never graded."""
        return TestReport({}, "")

    def close(self) -> None:
        """Do nothing."""


class RehearsalEnv(CodingEnv):
    """Plays the expert's episodes from records of real test runs."""

    def __init__(
        self, *, tasks: str | None, records: Mapping[str, tuple[str, str]], max_output_chars: int
    ) -> None:
        """Create the environment.

        Args:
            tasks: The task file.
            records: By task id, what the failing tests printed with the bug and without it.
            max_output_chars: Longest observation.
        """
        super().__init__(tasks=tasks, max_output_chars=max_output_chars)
        self._records = records

    def _make_sandbox(self, choice: SandboxChoice) -> Sandbox:
        return RecordedSandbox()

    def _begin(self, task_id: str | None) -> tuple[str, str]:
        begun = super()._begin(task_id)
        failure, success = self._records[begun[0]]
        assert isinstance(self._sandbox, RecordedSandbox)
        self._sandbox.failure = CommandResult(failure, 1)
        self._sandbox.success = CommandResult(success, 0)
        self._sandbox.repaired = dict(self._tasks.workspace(self._tasks[begun[0]]).files)
        return begun


def passed_output(task: CodingTask) -> str:
    """Return what pytest prints when the task's failing tests pass."""
    count = len(task.fail_to_pass)
    dots = "." * count
    return f"{dots}{' ' * max(0, 72 - count)} [100%]\n{count} passed\n"
