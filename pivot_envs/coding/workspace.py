"""Workspace, the files that a task begins from, as a sandbox state."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath

from pivot_envs.coding.diff import apply_diff, write_diff
from pivot_envs.coding.gold import Changes
from pivot_envs.coding.source import PackageSource
from pivot_envs.coding.task import CodingTask
from pivot_envs.errors import TaskError
from pivot_envs.sandbox.base import FileEntry, SandboxState
from pivot_envs.snapshot import sha256


@dataclass(frozen=True, slots=True)
class Workspace:
    """Code and its tests as a sandbox can load them."""

    name: str
    """Name of the package or repository."""
    version: str
    state: SandboxState
    """The files as they are, before any bug or solution."""
    package_dirs: tuple[str, ...]
    """The code's own folders and modules, ``.`` for all; only what lies in them is the agent's to
    change."""
    test_dirs: tuple[str, ...]
    """Folders with tests, and test files that lie elsewhere; they may lie in the code's own."""
    _names: Mapping[str, str] = field(init=False, repr=False, compare=False)
    """Names of the files' blobs by path."""

    def __post_init__(self) -> None:
        files = (entry for entry in self.state.files if entry.kind == "file")
        object.__setattr__(self, "_names", {entry.path: entry.content for entry in files})

    @classmethod
    def of(cls, source: PackageSource) -> "Workspace":
        """Build the workspace of a source release."""
        state = make_state(source.files, source.modes)
        return cls(source.name, source.version, state, source.package_dirs, source.test_dirs)

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    @property
    def files(self) -> Mapping[str, bytes]:
        """Contents by path."""
        return {path: self.state.blobs[name] for path, name in self._names.items()}

    def package_paths(self) -> tuple[str, ...]:
        """Return the package's own Python files, without its tests."""
        return tuple(
            entry.path
            for entry in self.state.files
            if entry.kind == "file" and entry.path.endswith(".py")
            if self.owns(entry.path) and not self.is_test(entry.path)
        )

    def owns(self, path: str) -> bool:
        """Tell whether a path lies in one of the package's own directories."""
        return any(top in (".", path) or path.startswith(f"{top}/") for top in self.package_dirs)

    def is_test(self, path: str) -> bool:
        """Tell whether a path lies in the release's tests directory."""
        return any(path == top or path.startswith(f"{top}/") for top in self.test_dirs)

    def text(self, path: str) -> str:
        """Return a file as text.

        Raises:
            TaskError: There is no such text file.
        """
        text = self.read(path)
        if text is None:
            raise TaskError(f"{self.title} has no file {path!r}")
        return text

    def read(self, path: str) -> str | None:
        """Return a file as text, None if there is no such file.

        Raises:
            TaskError: The file holds no UTF-8 text.
        """
        name = self._names.get(path)
        try:
            return None if name is None else _decoded(self.state.blobs[name])
        except UnicodeDecodeError as error:
            raise TaskError(f"{self.title}: {path} holds no UTF-8 text") from error

    def visible_tests(self, task: CodingTask) -> tuple[str, ...]:
        """Return what an agent can run: FAIL_TO_PASS, or the old tests nearest to hidden ones."""
        if not task.hides_tests:
            return task.fail_to_pass
        files = dict.fromkeys(test.partition("::")[0] for test in task.fail_to_pass)
        return tuple(path for path in files if self._has(path)) or self.test_dirs

    def start_state(self, task: CodingTask) -> SandboxState:
        """Return what the agent gets: the files with the task's bug, or without its solution.

        Raises:
            TaskError: The bug does not fit the files.
        """
        return changed_state(self.state, self._start(task))

    def solved_state(self, task: CodingTask) -> SandboxState:
        """Return the files with the known solution.

        Raises:
            TaskError: There is none, or it does not fit the files.
        """
        return changed_state(self.state, self._solution(task))

    def graders_state(self, task: CodingTask) -> SandboxState:
        """Return the grader's files: these, with the task's test patch.

        Raises:
            TaskError: The test patch does not fit the files.
        """
        if not task.test_patch:
            return self.state
        try:
            return changed_state(self.state, apply_diff(task.test_patch, self.read))
        except TaskError as error:
            raise TaskError(f"{task.task_id}, test_patch: {error}") from error

    def solution_diff(self, task: CodingTask) -> str:
        """Return the unified diff from what the agent gets to the known solution.

        Raises:
            TaskError: There is none, or it does not fit the files.
        """
        start, solution = self._start(task), self._solution(task)
        return "".join(
            write_diff(path, start.get(path, self.read(path)), solution.get(path, self.read(path)))
            for path in sorted({*start, *solution})
        )

    def _has(self, path: str) -> bool:
        return path in self._names

    def _start(self, task: CodingTask) -> Changes:
        try:
            return {} if task.gold is None else task.gold.changes_to_start(self.read)
        except TaskError as error:
            raise TaskError(f"{task.task_id}: {error}") from error

    def _solution(self, task: CodingTask) -> Changes:
        if task.gold is None:
            raise TaskError(f"{task.task_id}: its solution is not known")
        try:
            return task.gold.changes_to_solution(self.read)
        except TaskError as error:
            raise TaskError(f"{task.task_id}: {error}") from error


@lru_cache(maxsize=512)
def _decoded(content: bytes) -> str:
    return content.decode("utf-8")


def make_state(
    files: Mapping[str, bytes],
    modes: Mapping[str, int],
    links: Mapping[str, str] | None = None,
) -> SandboxState:
    """Return a sandbox state of files and links, with their folders.

    Args:
        files: Contents by path.
        modes: Permission bits of the files that are not 0o644.
        links: Targets of symbolic links by path.
    """
    blobs = {sha256(content): content for content in files.values()}
    entries = {
        path: FileEntry(path, "file", modes.get(path, 0o644), sha256(content))
        for path, content in files.items()
    }
    for path, target in (links or {}).items():
        entries[path] = FileEntry(path, "symlink", 0, target)
    _add_folders(entries)
    ordered = tuple(sorted(entries.values(), key=lambda entry: entry.path))
    return SandboxState(files=ordered, shell="", blobs=blobs)


def changed_state(state: SandboxState, changes: Changes) -> SandboxState:
    """Return a state with new, changed and removed text files; modes are kept."""
    entries = {entry.path: entry for entry in state.files}
    blobs = dict(state.blobs)
    for path, text in changes.items():
        if text is None:
            entries.pop(path, None)
            continue
        content = text.encode("utf-8")
        name = sha256(content)
        mode = entries[path].mode if path in entries else 0o644
        entries[path] = FileEntry(path, "file", mode, name)
        blobs[name] = content
    _add_folders(entries)
    ordered = tuple(sorted(entries.values(), key=lambda entry: entry.path))
    return SandboxState(files=ordered, shell=state.shell, blobs=blobs)


def _add_folders(entries: dict[str, FileEntry]) -> None:
    for path in list(entries):
        for folder in map(str, PurePosixPath(path).parents[:-1]):
            entries.setdefault(folder, FileEntry(folder, "directory", 0o755, ""))
