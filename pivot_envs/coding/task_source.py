"""TaskSource, the protocol of where coding tasks come from, and the specs that name sources.

A spec is text: ``mutations`` or ``releases`` for the files that are shipped; the path of a task
file, or of a folder of them; ``KIND:ARGUMENT`` for one of ``KINDS``; or
``package.module:Class:ARGUMENT`` for anyone's own class, called with the argument.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pivot_envs.coding.source import fetch_source
from pivot_envs.coding.task import CodingTask, Foreign, Release, Repository
from pivot_envs.coding.task_file import SHIPPED, SUFFIXES, LoadedTasks, load_tasks, shipped_path
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import PivotError, TaskError

KINDS: Mapping[str, str] = {
    "mutations": "pivot_envs.coding.tasks.built:MutationTasks",
    "releases": "pivot_envs.coding.tasks.built:ReleasePairs",
    "swebench": "pivot_envs.coding.tasks.swebench:SweBench",
}
"""Kind of a spec to the class that reads its argument, as ``module:Class``."""


class TaskSource(Protocol):
    """Where tasks come from: something that lists tasks and opens their workspaces."""

    def load(self) -> LoadedTasks:
        """Return the tasks, made or read, and what is wrong with those that cannot be used.

        Raises:
            PivotError: None of them can be had.
        """
        ...

    def workspace(self, task: CodingTask) -> Workspace:
        """Return the files that a task of this source begins from.

        Raises:
            PivotError: They cannot be had, or are not those that the task was made from.
        """
        ...


class TaskFile:
    """The tasks of one file."""

    def __init__(self, path: str | Path) -> None:
        """Name the file; nothing is read yet."""
        self._path = Path(path)

    def load(self) -> LoadedTasks:
        """Read the file."""
        return load_tasks(self._path)

    def workspace(self, task: CodingTask) -> Workspace:
        """Open the workspace that the task names."""
        return open_workspace(task)


class TaskFolder:
    """The tasks of all task files of a folder, in the order of their names."""

    def __init__(self, path: str | Path) -> None:
        """Name the folder; nothing is read yet."""
        self._path = Path(path)

    def load(self) -> LoadedTasks:
        """Read the files; one that cannot be read, or a second task of an id, is a problem."""
        tasks: dict[str, CodingTask] = {}
        problems: list[str] = []
        paths = [path for path in sorted(self._path.iterdir()) if path.name.endswith(SUFFIXES)]
        for path in paths:
            try:
                loaded = load_tasks(path)
            except TaskError as error:
                problems.append(str(error))
                continue
            problems += loaded.problems
            for task in loaded.tasks:
                if task.task_id in tasks:
                    problems.append(f"{path}: task_id {task.task_id!r} is in another file, too")
                tasks.setdefault(task.task_id, task)
        if not tasks:
            reason = problems[0] if problems else f"it holds no {' or '.join(SUFFIXES)} file"
            raise TaskError(f"{self._path} gives no task: {reason}")
        return LoadedTasks(tuple(tasks.values()), tuple(problems))

    def workspace(self, task: CodingTask) -> Workspace:
        """Open the workspace that the task names."""
        return open_workspace(task)


def open_source(spec: str) -> TaskSource:
    """Return the source that a spec names; see the module for what a spec is.

    Raises:
        TaskError: There is no such source.
    """
    kind, mark, argument = spec.partition(":")
    if mark and kind in KINDS:
        return _make(KINDS[kind], argument)
    path = Path(spec)
    if path.is_dir():
        return TaskFolder(path)
    if spec in SHIPPED and not path.exists():
        return TaskFile(shipped_path(spec))
    if not mark or path.exists() or "/" in kind:
        return TaskFile(path)
    name, _, argument = argument.partition(":")
    if kind.isidentifier() and not name.isidentifier():
        raise TaskError(
            f"{spec!r} is no task source: there are the kinds {', '.join(KINDS)}, "
            "task files and folders, and package.module:Class:ARGUMENT"
        )
    return _make(f"{kind}:{name}", argument)


def open_workspace(task: CodingTask) -> Workspace:
    """Return the files that a task begins from, found by what the task itself says.

    Raises:
        PivotError: They cannot be had, or are not those that the task was made from.
    """
    match task.origin:
        case Release(package=package, version=version, sha256=sha256):
            return Workspace.of(fetch_source(package, version, sha256=sha256))
        case Foreign(source=source):
            raise TaskError(
                f"{task.task_id}: only its own source opens its workspace; "
                f"pass tasks={source!r} instead of a task file"
            )
        case Repository(repo=repo):
            raise TaskError(f"{task.task_id}: no clone or bundle of {repo} was named")


def _make(entry_point: str, argument: str) -> TaskSource:
    module, _, name = entry_point.partition(":")
    try:
        source: TaskSource = getattr(importlib.import_module(module), name)(argument)
    except PivotError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise TaskError(f"cannot make the task source {entry_point}: {reason}") from error
    return source
