"""Workspace, a package's source release as a sandbox state, with and without a task's bug."""

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pivot_envs.coding.source import PackageSource
from pivot_envs.coding.task import CodingTask, Mutation
from pivot_envs.errors import TaskError
from pivot_envs.sandbox.base import FileEntry, SandboxState
from pivot_envs.snapshot import sha256


@dataclass(frozen=True, slots=True)
class Workspace:
    """A release's files as a sandbox can load them."""

    source: PackageSource
    state: SandboxState
    """The release as it is, before any bug."""

    @classmethod
    def of(cls, source: PackageSource) -> "Workspace":
        """Build the workspace of a source release."""
        entries: dict[str, FileEntry] = {}
        blobs: dict[str, bytes] = {}
        for path, content in source.files.items():
            name = sha256(content)
            blobs[name] = content
            entries[path] = FileEntry(path, "file", source.modes.get(path, 0o644), name)
            for folder in PurePosixPath(path).parents:
                if str(folder) != ".":
                    entries[str(folder)] = FileEntry(str(folder), "directory", 0o755, "")
        files = tuple(sorted(entries.values(), key=lambda entry: entry.path))
        return cls(source, SandboxState(files=files, shell="", blobs=blobs))

    def package_paths(self) -> tuple[str, ...]:
        """Return the package's own Python files, without its tests."""
        return tuple(
            path
            for path in self.source.files
            if path.endswith(".py") and self.owns(path) and not self.is_test(path)
        )

    def owns(self, path: str) -> bool:
        """Tell whether a path lies in one of the package's own directories."""
        return any(path == top or path.startswith(f"{top}/") for top in self.source.package_dirs)

    def is_test(self, path: str) -> bool:
        """Tell whether a path lies in the release's tests directory."""
        return any(path == top or path.startswith(f"{top}/") for top in self.source.test_dirs)

    def text(self, path: str) -> str:
        """Return a file of the release as text."""
        return self.source.files[path].decode("utf-8")

    def with_bug(self, task: CodingTask) -> SandboxState:
        """Return the release with the task's bug in it.

        Raises:
            TaskError: The bug does not fit the release.
        """
        mutation = task.mutation
        if mutation.path not in self.source.files:
            raise TaskError(f"{task.task_id}: the release has no file {mutation.path!r}")
        content = apply_mutation(self.text(mutation.path), mutation).encode("utf-8")
        name = sha256(content)
        files = tuple(
            replace(entry, content=name) if entry.path == mutation.path else entry
            for entry in self.state.files
        )
        return SandboxState(files=files, shell="", blobs={**self.state.blobs, name: content})


def apply_mutation(text: str, mutation: Mutation) -> str:
    """Put the bug into a file's text.

    Raises:
        TaskError: The original span does not stand where the mutation says.
    """
    return _replace_span(text, mutation, mutation.original, mutation.mutated)


def revert_mutation(text: str, mutation: Mutation) -> str:
    """Take the bug out again.

    Raises:
        TaskError: The mutated span does not stand where the mutation says.
    """
    return _replace_span(text, mutation, mutation.mutated, mutation.original)


def _replace_span(text: str, mutation: Mutation, old: str, new: str) -> str:
    lines = text.split("\n")
    line = lines[mutation.line - 1] if 0 < mutation.line <= len(lines) else ""
    end = mutation.column + len(old)
    if line[mutation.column : end] != old:
        raise TaskError(
            f"{mutation.path}:{mutation.line} should hold {old!r} at column {mutation.column}, "
            f"it reads {line!r}; the task belongs to another release"
        )
    lines[mutation.line - 1] = line[: mutation.column] + new + line[end:]
    return "\n".join(lines)
