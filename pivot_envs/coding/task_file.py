"""Task files: JSON Lines of coding tasks, after a header that names format and version."""

import dataclasses
import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

import zstandard
from pydantic import TypeAdapter, ValidationError

from pivot_envs.coding.diff import parse_diff
from pivot_envs.coding.gold import Bug, BugPatch, Patch
from pivot_envs.coding.task import CodingTask, as_json, leaves_workspace
from pivot_envs.errors import TaskError

TASK_FILE_FORMAT = "pivot-coding-tasks"
TASK_FILE_VERSION = 3
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
"""How the names of task files end."""
SHIPPED = ("mutations", "releases")
"""Names of the task files that ship with the package."""

_DAMAGED = (zstandard.ZstdError, zlib.error, gzip.BadGzipFile, EOFError, UnicodeDecodeError)


@dataclass(frozen=True, slots=True)
class LoadedTasks:
    """What a source gave: the tasks that can be used, and what is wrong with the others."""

    tasks: tuple[CodingTask, ...]
    problems: tuple[str, ...] = ()
    """One sentence for each that cannot; it names file, line and field where there is one."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """How often a source that builds its tasks tried in vain, by reason."""


def default_tasks_path() -> Path:
    """Return where the task file of mutations lies that ships with the package."""
    return shipped_path("mutations")


def shipped_path(name: str) -> Path:
    """Return where a task file lies that ships with the package: one of ``SHIPPED``."""
    return Path(str(files("pivot_envs.coding") / "data" / f"{name}.jsonl.zst"))


def write_tasks(path: str | Path, tasks: Iterable[CodingTask]) -> None:
    """Write a task file: a header line, then one task a line.

    The file appears whole or not at all. ``.gz`` and ``.zst`` files are compressed; the same
    tasks give the same bytes.

    Raises:
        OSError: The file cannot be written.
    """
    path = Path(path)
    header = {"format": TASK_FILE_FORMAT, "version": TASK_FILE_VERSION}
    lines = [as_json(header), *(as_json(dataclasses.asdict(task)) for task in tasks)]
    content = "".join(f"{line}\n" for line in lines).encode()
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    elif path.suffix == ".zst":
        content = zstandard.ZstdCompressor(level=19).compress(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_tasks(path: str | Path) -> tuple[CodingTask, ...]:
    """Read a task file that must be whole.

    Raises:
        TaskError: The file is missing, damaged, of another format or version, or one of its
            tasks is wrong; the message names the file, the line and the field.
    """
    loaded = load_tasks(path)
    if loaded.problems:
        raise TaskError(loaded.problems[0])
    return loaded.tasks


def load_tasks(path: str | Path) -> LoadedTasks:
    """Read a task file and leave out what is wrong in it.

    Raises:
        TaskError: The file is missing, damaged, or of another format or version.
    """
    path = Path(path)
    header, *lines = read_text(path).removesuffix("\n").split("\n")
    _check_header(path, header)
    tasks: dict[str, CodingTask] = {}
    problems = []
    for number, line in enumerate(lines, start=2):
        place = f"{path}, line {number}"
        try:
            task = parse_task(place, line)
            if task.task_id in tasks:
                raise TaskError(f"{place}: task_id {task.task_id!r} occurs twice")
            tasks[task.task_id] = task
        except TaskError as error:
            problems.append(str(error))
    return LoadedTasks(tuple(tasks.values()), tuple(problems))


def read_text(path: Path) -> str:
    """Read a text file; ``.gz`` and ``.zst`` files are decompressed.

    Raises:
        TaskError: It is missing or damaged.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        elif path.suffix == ".zst":
            frame = zstandard.ZstdDecompressor().decompressobj()
            content = frame.decompress(content)
            if not frame.eof:
                raise EOFError("the file ends in the middle of its compressed data")
        return content.decode()
    except _DAMAGED as error:
        raise TaskError(f"{path} is no readable task file: {error}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise TaskError(f"cannot read the task file {path}: {reason}") from error


def _check_header(path: Path, line: str) -> None:
    expected = {"format": TASK_FILE_FORMAT, "version": TASK_FILE_VERSION}
    try:
        header = json.loads(line)
    except ValueError:
        header = line
    if header == expected:
        return
    version = header.get("version") if isinstance(header, dict) else None
    if isinstance(version, int) and header == {**expected, "version": version}:
        is_newer = version > TASK_FILE_VERSION
        raise TaskError(
            f"{path}, line 1, field version: the file has format version {version}, "
            f"this version reads {TASK_FILE_VERSION}; "
            + ("update pivot-rl to read it" if is_newer else "build it again")
        )
    if isinstance(header, dict) and "instance_id" in header:
        raise TaskError(f"{path} holds SWE-bench rows: name it with tasks='swebench:{path}'")
    raise TaskError(
        f"{path}, line 1: expected the header {as_json(expected)}, got {str(header)!r:.80}; "
        "build the file again with python -m pivot_envs.coding build"
    )


def parse_task(place: str, line: str) -> CodingTask:
    """Read one line of a task file.

    Raises:
        TaskError: The task is wrong; the message begins with ``place`` and names the field.
    """
    try:
        task = _task_adapter().validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"])) or "the whole line"
        raise TaskError(f"{place}, field {name}: {first['msg']}") from error
    for name, path in _paths(place, task):
        if leaves_workspace(path):
            raise TaskError(f"{place}, field {name}: {path!r} leaves the workspace")
    return task


def _paths(place: str, task: CodingTask) -> Iterator[tuple[str, str]]:
    """Yield every path that a task writes to, with the field that names it."""
    diffs = {"test_patch": task.test_patch}
    if isinstance(task.gold, Bug):
        for index, mutation in enumerate(task.gold.mutations):
            yield f"gold.mutations.{index}.path", mutation.path
    if isinstance(task.gold, BugPatch | Patch):
        diffs["gold.diff"] = task.gold.diff
    for name, diff in diffs.items():
        try:
            changed = parse_diff(diff)
        except TaskError as error:
            raise TaskError(f"{place}, field {name}: {error}") from error
        for file in changed:
            yield from ((name, path) for path in (file.old_path, file.path) if path)


@cache
def _task_adapter() -> TypeAdapter[CodingTask]:
    return TypeAdapter(CodingTask)
