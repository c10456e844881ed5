"""Repair, what is known of a mutation task: the buggy line, the right one, and wrong ones."""

import re
import textwrap
from dataclasses import dataclass

from pivot_envs.coding.gold import Mutation
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.tasks.mutations import find_functions
from pivot_envs.coding.view import find_function
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import TaskError
from pivot_envs.tools import ToolCall


@dataclass(frozen=True, slots=True)
class Repair:
    """The repair of a bug on one line."""

    path: str
    function: str
    """``path/to/file.py::Class.method``."""
    number: int
    """1-based number of the line."""
    buggy: str
    """The line as the agent finds it."""
    right: str
    wrong: tuple[str, ...]
    """The right line with another slip in it: other mutations, and other names of the function in
    the mutation's place."""
    mutation: Mutation
    first: int
    """First line of the function."""
    last: int

    @classmethod
    def of(cls, task: CodingTask, workspace: Workspace) -> "Repair":
        """Read a task's repair from its origin.

        Raises:
            TaskError: The bug is not on one line of a function.
        """
        mutation, text = task.bug.mutation, workspace.read(task.bug.mutation.path) or ""
        span = find_function(text, task.bug.function.rpartition("::")[2])
        if len(task.bug.mutations) > 1 or not mutation.is_one_line or span is None:
            raise TaskError(f"{task.task_id}: the audit needs a bug on one line of a function")
        right = text.split("\n")[mutation.line - 1]
        buggy = _changed(right, mutation.column, mutation.original, mutation.mutated)
        lines = text.split("\n")[span.start - 1 : span.end]
        body = textwrap.dedent("\n".join(lines))
        indent = len(lines[0]) - len(lines[0].lstrip())
        wrong = {
            _changed(right, each.column + indent, each.original, each.mutated)
            for function in find_functions(mutation.path, body, max_lines=10_000)
            for each in function.mutations
            if each.line == mutation.line - span.start + 1
        }
        if mutation.original.isidentifier():
            for name in re.findall(r"[A-Za-z_]\w*", body):
                wrong.add(_changed(right, mutation.column, mutation.original, name))
        wrong -= {buggy, right}
        return cls(
            path=mutation.path,
            function=task.bug.function,
            number=mutation.line,
            buggy=buggy,
            right=right,
            wrong=tuple(sorted(wrong)),
            mutation=mutation,
            first=span.start,
            last=span.end,
        )

    def edit(self, text: str, *, names_path: bool = True) -> ToolCall:
        """Return the call that replaces the line by ``text``."""
        path = {"path": self.path} if names_path else {}
        return ToolCall("edit", {**path, "start": self.number, "end": self.number, "text": text})

    def view(self) -> ToolCall:
        """Return the call that shows the function."""
        return ToolCall("view", {"path": self.function})


def _changed(line: str, column: int, old: str, new: str) -> str:
    return line[:column] + new + line[column + len(old) :]
