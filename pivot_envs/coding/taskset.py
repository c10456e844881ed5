"""TaskSet, the coding tasks that an environment draws from, with their workspaces."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from packaging.utils import canonicalize_name

from pivot_envs.coding.task import CodingTask, as_json
from pivot_envs.coding.task_file import LoadedTasks, default_tasks_path
from pivot_envs.coding.task_source import TaskSource, open_source
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import TaskError

_MAX_SHOWN = 5


class TaskWarning(UserWarning):
    """Some tasks of a source cannot be used and were left out."""


class TaskSet:
    """Tasks by id. Workspaces are opened when first needed; a process shares them."""

    def __init__(
        self,
        spec: str | None = None,
        *,
        split: str | None = None,
        task_ids: Sequence[str] | None = None,
    ) -> None:
        """Load the tasks of a source (of the shipped file by default) and keep the named ones.

        What is wrong with single tasks of the source is a ``TaskWarning``.

        Args:
            spec: A task file or folder, or another source: see ``task_source``.
            split: Only tasks of this split.
            task_ids: Only these tasks.

        Raises:
            TaskError: The source gives no task, an id is unknown, or no task is left.
            SourceError: A release that the source is made of cannot be had.
        """
        spec = spec if spec is not None else str(default_tasks_path())
        self._source, tasks = _tasks_of(spec)
        if task_ids is not None:
            unknown = [task_id for task_id in task_ids if task_id not in tasks]
            if unknown:
                raise TaskError(f"{spec}: no task {unknown[0]!r} ({len(unknown)} unknown ids)")
            tasks = {task_id: tasks[task_id] for task_id in task_ids}
        kept = {key: task for key, task in tasks.items() if split in (None, task.split)}
        if not kept:
            splits = sorted({task.split for task in tasks.values()})
            raise TaskError(
                f"{spec}: none of {len(tasks)} tasks is of split {split!r}; "
                f"there are the splits {', '.join(splits) or 'of no task'}"
            )
        self._tasks = kept
        self.packages = _packages_of(tuple(kept.values()))
        """Import names of the packages under repair, but for those that tests of others need."""
        self.images = tuple(dict.fromkeys(task.environment.image for task in kept.values()))
        """Docker images that tasks name; None among them if a task names none."""
        self.ids = tuple(kept)
        """Ids in the source's order."""

    def __contains__(self, task_id: object) -> bool:
        """Tell whether a task is in the set."""
        return isinstance(task_id, str) and task_id in self._tasks

    def __getitem__(self, task_id: str) -> CodingTask:
        """Return a task by id."""
        return self._tasks[task_id]

    def __len__(self) -> int:
        """Count the tasks."""
        return len(self._tasks)

    def draw(self, generator: np.random.Generator) -> str:
        """Draw a task id, all equally likely."""
        return self.ids[int(generator.integers(len(self.ids)))]

    def workspace(self, task: CodingTask) -> Workspace:
        """Return the files that a task begins from, before any bug.

        Raises:
            SourceError: They cannot be fetched or are not those that the task was made from.
            TaskError: The task names none that can be opened.
        """
        return workspace_of(self._source, task)

    def solution_diff(self, task_id: str) -> str:
        """Return the unified diff from what the agent gets to a task's known solution.

        Raises:
            TaskError: It is not known or does not fit.
            SourceError: The workspace cannot be had.
        """
        task = self._tasks[task_id]
        return self.workspace(task).solution_diff(task)


def workspace_of(source: TaskSource, task: CodingTask) -> Workspace:
    """Return a task's workspace, from memory if one of the same origin was opened before."""
    return _open(_Opening(as_json(asdict(task)["origin"]), source, task))


@dataclass(frozen=True, slots=True)
class _Opening:
    """What opens a workspace; equal if it opens the same one."""

    origin: str
    source: TaskSource = field(compare=False)
    task: CodingTask = field(compare=False)


@lru_cache(maxsize=16)
def _open(opening: _Opening) -> Workspace:
    return opening.source.workspace(opening.task)


def _tasks_of(spec: str) -> tuple[TaskSource, Mapping[str, CodingTask]]:
    """Return a source and its tasks, from memory if its files are unchanged."""
    source, loaded = _loaded(spec, _stamp(Path(spec)))
    if not loaded.tasks:
        reason = loaded.problems[0] if loaded.problems else "it is empty"
        raise TaskError(f"{spec} gives no task: {reason}")
    if loaded.problems:
        shown = "; ".join(loaded.problems[:_MAX_SHOWN])
        more = len(loaded.problems) - _MAX_SHOWN
        warnings.warn(
            f"{len(loaded.problems)} of {len(loaded.problems) + len(loaded.tasks)} tasks were left "
            f"out: {shown}{f'; and {more} more' if more > 0 else ''}",
            TaskWarning,
            stacklevel=5,
        )
    return source, MappingProxyType({task.task_id: task for task in loaded.tasks})


def _packages_of(tasks: Sequence[CodingTask]) -> tuple[str, ...]:
    names = {name for task in tasks for name in task.packages()}
    needed = {text for task in tasks for text in task.environment.requirements}
    distributions = {canonicalize_name(name) for name in needed}
    return tuple(sorted(name for name in names if canonicalize_name(name) not in distributions))


def _stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what changes whenever a task file, or a file of a folder of them, does."""
    try:
        paths = sorted(path.iterdir()) if path.is_dir() else [path]
        stats = [(each.name, each.stat()) for each in paths]
    except OSError:
        return ()
    return tuple((name, status.st_mtime_ns, status.st_size) for name, status in stats)


@lru_cache(maxsize=8)
def _loaded(spec: str, _stamp: tuple[tuple[str, int, int], ...]) -> tuple[TaskSource, LoadedTasks]:
    source = open_source(spec)
    return source, source.load()
