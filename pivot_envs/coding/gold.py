"""Gold: the known solution of a task, as data that can be applied and taken back.

``changes_to_start`` turns a workspace's files into what the agent gets, ``changes_to_solution``
turns them into the solved state. A bug is put into whole code, a patch is what is missing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from pivot_envs.coding.diff import apply_diff
from pivot_envs.errors import TaskError

ReadText = Callable[[str], str | None]
"""Returns a workspace file's text, None if there is no such file."""
Changes = Mapping[str, str | None]
"""New texts by path; None removes the file."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One changed span of one file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    path: str
    """File, relative to the workspace."""
    line: Annotated[int, Field(ge=1)]
    """1-based number of the line on which the span begins, in the whole file."""
    original: Annotated[str, Field(pattern=r"^[^\r]*$")]
    """The span as it was; it may reach over several lines."""
    mutated: Annotated[str, Field(pattern=r"^[^\r]*$")]
    """The span as the task has it."""
    column: Annotated[int, Field(ge=0)]
    """0-based character offset of the span in its line."""
    operator: str
    """Name of the mutation operator."""

    @property
    def is_one_line(self) -> bool:
        """Whether neither version of the span reaches over a line's end."""
        return "\n" not in self.original + self.mutated


@dataclass(frozen=True, slots=True)
class Bug:
    """One to three mutations of code that is whole in the workspace's origin."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    mutations: Annotated[tuple[Mutation, ...], Field(min_length=1)]
    """Spans that do not overlap; their places are those of the whole files."""
    functions: Annotated[tuple[str, ...], Field(min_length=1)]
    """``path/to/file.py::Class.method`` of each mutation."""
    lines: Annotated[int, Field(ge=1)]
    """Lines of these functions' bodies, without their docstrings."""
    kind: Literal["bug"] = "bug"

    @property
    def mutation(self) -> Mutation:
        """The first mutation; most bugs have no other."""
        return self.mutations[0]

    @property
    def function(self) -> str:
        """The function of the first mutation."""
        return self.functions[0]

    def changes_to_start(self, read: ReadText) -> Changes:
        """Return the files that the bug changes, with it.

        Raises:
            TaskError: A mutation does not fit the workspace.
        """
        return mutate(self.mutations, read)

    def changes_to_solution(self, read: ReadText) -> Changes:
        """Return nothing: the workspace is whole."""
        return {}


@dataclass(frozen=True, slots=True)
class Patch:
    """A unified diff that the workspace lacks."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    diff: Annotated[str, Field(min_length=1)]
    """As ``git diff`` writes it, from the workspace to the solution."""
    kind: Literal["patch"] = "patch"

    def changes_to_start(self, read: ReadText) -> Changes:
        """Return nothing: the workspace is the start."""
        return {}

    def changes_to_solution(self, read: ReadText) -> Changes:
        """Return the files that the patch changes, patched.

        Raises:
            TaskError: The patch does not fit the workspace.
        """
        return apply_diff(self.diff, read)


@dataclass(frozen=True, slots=True)
class BugPatch:
    """A unified diff that puts a bug into code that is whole in the workspace's origin."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    diff: Annotated[str, Field(min_length=1)]
    """As ``git diff`` writes it, from the workspace to the start."""
    kind: Literal["bug_patch"] = "bug_patch"

    def changes_to_start(self, read: ReadText) -> Changes:
        """Return the files that the patch changes, with the bug.

        Raises:
            TaskError: The patch does not fit the workspace.
        """
        return apply_diff(self.diff, read)

    def changes_to_solution(self, read: ReadText) -> Changes:
        """Return nothing: the workspace is whole."""
        return {}


def mutate(mutations: Iterable[Mutation], read: ReadText) -> dict[str, str | None]:
    """Return the files that some mutations change, with them.

    Raises:
        TaskError: A mutation does not fit its file.
    """
    by_path: defaultdict[str, list[Mutation]] = defaultdict(list)
    for mutation in mutations:
        by_path[mutation.path].append(mutation)
    changes: dict[str, str | None] = {}
    for path, changing in by_path.items():
        text = read(path)
        if text is None:
            raise TaskError(f"the release has no file {path!r}")
        # From the end, so that every place is still the whole file's.
        for mutation in sorted(changing, key=lambda each: (-each.line, -each.column)):
            text = apply_mutation(text, mutation)
        changes[path] = text
    return changes


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
    is_inside = 0 < mutation.line <= len(lines)
    line = lines[mutation.line - 1] if is_inside else ""
    start = sum(len(each) + 1 for each in lines[: mutation.line - 1]) + mutation.column
    if mutation.column > len(line) or not is_inside or not text.startswith(old, start):
        raise TaskError(
            f"{mutation.path}:{mutation.line} should hold {old!r} at column {mutation.column}, "
            f"it reads {line!r}; the task belongs to another release"
        )
    return text[:start] + new + text[start + len(old) :]
