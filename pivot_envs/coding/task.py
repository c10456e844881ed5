"""CodingTask, one bug to repair, and the JSON Lines files that hold them."""

import dataclasses
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

import zstandard
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from pivot_envs.errors import TaskError

Split = Literal["train", "test", "unseen"]

TASK_FILE_FORMAT = "pivot-coding-tasks"
TASK_FILE_VERSION = 2


@dataclass(frozen=True, slots=True)
class Mutation:
    """One changed span on one line of one file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    path: str
    """File, relative to the workspace."""
    line: Annotated[int, Field(ge=1)]
    """1-based line number; a mutation never changes the number of lines."""
    original: Annotated[str, Field(pattern=r"^[^\r\n]*$")]
    """The span as it was."""
    mutated: Annotated[str, Field(pattern=r"^[^\r\n]*$")]
    """The span as the task has it."""
    column: Annotated[int, Field(ge=0)]
    """0-based character offset of the span in its line, the same in both versions."""
    operator: str
    """Name of the mutation operator."""


@dataclass(frozen=True, slots=True)
class CodingTask:
    """One bug in a real package, with the tests that decide whether it is repaired."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    task_id: Annotated[str, Field(min_length=1)]
    """Unique and readable, ``more-itertools-10.7.0/more.chunked/1a2b3c4d``."""
    package: str
    version: str
    source_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the source release."""
    function: str
    """``path/to/file.py::Class.method``, the function that holds the bug."""
    lines: Annotated[int, Field(ge=1)]
    """Lines of that function's body, without its docstring."""
    mutation: Mutation
    issue: str
    """What the agent is told; made from the failing tests' real output."""
    fail_to_pass: Annotated[tuple[str, ...], Field(min_length=1)]
    """Test ids that fail because of the mutation and pass without it."""
    pass_to_pass: tuple[str, ...]
    """Test ids that run the function and pass with and without the mutation."""
    suspects: tuple[str, ...]
    """Functions that the failing tests run and others hardly do, the most suspicious one first;
    the buggy one need not be among them."""
    split: Split
    """``train``; ``test``: unseen mutations of known functions; ``unseen``: unseen functions."""

    def hash(self) -> str:
        """Return the SHA-256 of the task's canonical JSON, in hex."""
        return hashlib.sha256(_as_json(dataclasses.asdict(self)).encode()).hexdigest()


def default_tasks_path() -> Path:
    """Return where the task file lies that ships with the package."""
    return Path(str(files("pivot_envs.coding") / "data" / "mutations.jsonl.zst"))


def write_tasks(path: str | Path, tasks: Iterable[CodingTask]) -> None:
    """Write a task file: a header line, then one task a line.

    The file appears whole or not at all. ``.gz`` and ``.zst`` files are compressed; the same
    tasks give the same bytes.

    Raises:
        OSError: The file cannot be written.
    """
    path = Path(path)
    header = {"format": TASK_FILE_FORMAT, "version": TASK_FILE_VERSION}
    lines = [_as_json(header), *(_as_json(dataclasses.asdict(task)) for task in tasks)]
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
    """Read a task file; ``.gz`` and ``.zst`` files are decompressed.

    Raises:
        TaskError: The file is missing, damaged, of another format or version, or one of its
            tasks is wrong; the message names the file, the line and the field.
    """
    path = Path(path)
    header, *lines = _read_text(path).removesuffix("\n").split("\n")
    _check_header(path, header)
    tasks: dict[str, CodingTask] = {}
    for number, line in enumerate(lines, start=2):
        task = _parse_task(f"{path}, line {number}", line)
        if task.task_id in tasks:
            raise TaskError(f"{path}, line {number}: task_id {task.task_id!r} occurs twice")
        tasks[task.task_id] = task
    return tuple(tasks.values())


def _read_text(path: Path) -> str:
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
    except (zstandard.ZstdError, zlib.error, EOFError, UnicodeDecodeError) as error:
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
    if header != expected:
        raise TaskError(
            f"{path}, line 1: expected the header {_as_json(expected)}, got {str(header)!r:.80}; "
            "build the file again with python -m pivot_envs.coding build"
        )


def _parse_task(place: str, line: str) -> CodingTask:
    try:
        task = _task_adapter().validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the whole line"
        raise TaskError(f"{place}, field {field}: {first['msg']}") from error
    parts = PurePosixPath(task.mutation.path)
    if parts.is_absolute() or ".." in parts.parts:
        raise TaskError(f"{place}, field mutation.path: {str(parts)!r} leaves the workspace")
    return task


@cache
def _task_adapter() -> TypeAdapter[CodingTask]:
    return TypeAdapter(CodingTask)


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
