"""TaskSet, the coding tasks that an environment draws from, with their workspaces."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pivot_envs.coding.source import fetch_source
from pivot_envs.coding.task import CodingTask, default_tasks_path, read_tasks
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import TaskError


class TaskSet:
    """Tasks by id. Workspaces are fetched when first needed; a process shares them."""

    def __init__(
        self,
        path: str | None = None,
        *,
        split: str | None = None,
        task_ids: Sequence[str] | None = None,
    ) -> None:
        """Read a task file (the shipped one by default) and keep the named tasks.

        Raises:
            TaskError: The file is missing or damaged, an id is unknown, or no task is left.
        """
        source = Path(path) if path is not None else default_tasks_path()
        tasks = _tasks_of(source)
        if task_ids is not None:
            unknown = [task_id for task_id in task_ids if task_id not in tasks]
            if unknown:
                raise TaskError(f"{source}: no task {unknown[0]!r} ({len(unknown)} unknown ids)")
            tasks = {task_id: tasks[task_id] for task_id in task_ids}
        kept = {key: task for key, task in tasks.items() if split in (None, task.split)}
        if not kept:
            splits = sorted({task.split for task in tasks.values()})
            raise TaskError(
                f"{source}: none of {len(tasks)} tasks is of split {split!r}; "
                f"there are the splits {', '.join(splits) or 'of no task'}"
            )
        self._tasks = kept
        self.ids = tuple(kept)
        """Ids in the file's order."""

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
        """Return the workspace of a task's release.

        Raises:
            SourceError: The release cannot be fetched or is not the one the task was made from.
        """
        return _workspace_of(task.package, task.version, task.source_sha256)


def _tasks_of(path: Path) -> Mapping[str, CodingTask]:
    """Return a file's tasks, from memory if the file is unchanged."""
    try:
        status = path.stat()
    except OSError:
        return _parsed(path, 0, 0)
    return _parsed(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _parsed(path: Path, _mtime_ns: int, _size_bytes: int) -> Mapping[str, CodingTask]:
    return MappingProxyType({task.task_id: task for task in read_tasks(path)})


@lru_cache(maxsize=16)
def _workspace_of(package: str, version: str, sha256: str) -> Workspace:
    return Workspace.of(fetch_source(package, version, sha256=sha256))
