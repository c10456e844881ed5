"""Sandbox, the abstract box that commands run in: a workspace, a shell, and a test runner."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pivot_envs.errors import InfraError, SandboxUnavailableError
from pivot_envs.sandbox.limits import Limits

WORKSPACE = "/workspace"
"""Where the workspace lies inside the box."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command printed and how it ended."""

    output: str
    """stdout and stderr as the terminal shows them; of long output only head and tail are kept."""
    exit_code: int | None
    """``None`` when the command was ended by its timeout."""
    timed_out: bool = False
    omitted_bytes: int = 0
    """Bytes left out of the middle of ``output``; a marker stands in their place."""


@dataclass(frozen=True, slots=True)
class TestReport:
    """Named outcomes of one pytest run, collected where the tested code cannot write."""

    __test__ = False

    outcomes: Mapping[str, str]
    """Test id to ``passed``, ``failed``, ``error`` or ``skipped``; absent if it did not finish."""
    output: str
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One entry of the workspace."""

    path: str
    """Relative to the workspace, with ``/``."""
    kind: Literal["file", "symlink", "directory"]
    mode: int
    """Permission bits; 0 for symlinks."""
    content: str
    """SHA-256 of a file, target of a symlink, empty for a directory."""


@dataclass(frozen=True, slots=True)
class SandboxState:
    """A saved workspace and shell; data that any sandbox of any kind can load."""

    files: tuple[FileEntry, ...]
    """Sorted by path."""
    shell: str
    """Bash source that brings back cwd, variables, functions, aliases, options and umask."""
    blobs: Mapping[str, bytes] = field(repr=False)
    """File contents by SHA-256."""


class Sandbox(ABC):
    """A workspace and a persistent bash, isolated from the machine.

    ``start`` begins, ``close`` ends and may be called twice; ``with`` works. Every method but
    ``close`` raises ``SandboxError`` when the box is dead or breaks its protocol: a command's
    failure is a result, the box's failure is an exception.
    """

    @property
    @abstractmethod
    def level(self) -> str:
        """The isolation in use, such as ``namespaces``; empty before ``start``."""

    @property
    @abstractmethod
    def limits(self) -> Limits:
        """What commands may use; a snapshot of an environment names it."""

    @abstractmethod
    def set_limits(self, limits: Limits) -> None:
        """Use these limits from now on; a running box that has others is closed.

        Raises:
            ValueError: A box of this kind cannot keep them.
        """

    @abstractmethod
    def start(self) -> None:
        """Start the box with an empty workspace; does nothing if it runs.

        Raises:
            SandboxUnavailableError: This machine cannot isolate and ``unsafe`` was not given.
        """

    @abstractmethod
    def run(self, command: str, *, timeout_s: float) -> CommandResult:
        """Run a command in the persistent bash; on timeout its whole process tree is killed.

        A plain ``pytest ...`` or ``python -m pytest ...`` runs in a fork of a warm interpreter,
        with the shell's cwd and exported variables, and behaves as the cold one would.
        """

    @abstractmethod
    def read_file(self, path: str) -> bytes:
        """Return a workspace file.

        Raises:
            FileNotFoundError: There is no regular file at ``path`` inside the workspace.
        """

    @abstractmethod
    def write_file(self, path: str, content: bytes) -> None:
        """Write a workspace file in place, keeping its mode if it exists.

        Raises:
            ValueError: ``path`` leaves the workspace or names a directory, or cannot be written.
        """

    @abstractmethod
    def save(self) -> SandboxState:
        """Save workspace and shell; nothing is disturbed.

        Raises:
            UnsavableError: Commands left a workspace that no state can hold.
        """

    @abstractmethod
    def load(self, state: SandboxState) -> None:
        """End all processes, then bring back a saved workspace and shell, and verify the result.

        Raises:
            SnapshotError: A blob is missing, or the loaded workspace differs from the state.
        """

    @abstractmethod
    def run_tests(
        self, test_ids: Sequence[str], *, timeout_s: float, options: Sequence[str] = ()
    ) -> TestReport:
        """Run named tests in a fresh process outside the agent's shell and report each outcome."""

    def require_tests(self) -> None:
        """Find out whether a running box lacks what ``run_tests`` needs, as far as that is known.

        Raises:
            SandboxUnavailableError: It does.
        """
        return

    @abstractmethod
    def close(self) -> None:
        """End every process and free everything."""

    def restart(self) -> None:
        """Replace the box, whatever became of it, by a new one with an empty workspace."""
        self.close()
        self.start()

    def bring_up(self, state: SandboxState) -> None:
        """Load a state, starting the box or replacing one that died.

        Raises:
            SandboxUnavailableError: This machine cannot isolate and ``unsafe`` was not given.
            SandboxError: A new box fails, too.
            SnapshotError: The state cannot be loaded.
        """
        try:
            self.start()
            self.load(state)
        except SandboxUnavailableError:
            raise
        except InfraError:
            self.restart()
            self.load(state)

    def __enter__(self) -> "Sandbox":
        """Start the box."""
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        """Close the box."""
        self.close()
