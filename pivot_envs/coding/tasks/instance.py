"""Instance, one row of a SWE-bench file, and the files that hold them.

The fields are those of SWE-bench (Jimenez et al., arXiv:2310.06770), which SWE-Gym
(arXiv:2412.21139) shares. Rows of SWE-smith (arXiv:2504.21798) have no ``base_commit`` and no
``test_patch``: the repository's name ends in the commit, and ``patch`` puts the bug in.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from pivot_envs.coding.task_file import read_text
from pivot_envs.errors import TaskError

_SMITH_REPO = re.compile(r"(?:[^/]+/)?(?P<owner>.+?)__(?P<name>.+)\.(?P<commit>[0-9a-f]{7,40})")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def _test_list(value: Any) -> Any:
    """Turn the JSON-string form of a list of tests into a list."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"is neither a list nor the JSON text of one: {error}") from error


_Tests = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_test_list)]
_Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{7,64}$")]
_Text = Annotated[str, Field(min_length=1)]


class _Row(BaseModel):
    """A row as it stands in a file; fields that are not named here are ignored."""

    instance_id: Annotated[str, Field(pattern=r"^[^\s\x00]+$")]
    repo: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
    base_commit: _Commit | None = None
    problem_statement: _Text
    patch: _Text
    test_patch: str | None = None
    fail_to_pass: Annotated[_Tests, Field(min_length=1, alias="FAIL_TO_PASS")]
    pass_to_pass: Annotated[_Tests, Field(alias="PASS_TO_PASS")]
    hints_text: str | None = None
    version: str | float | None = None
    environment_setup_commit: str | None = None
    image_name: str | None = None
    docker_image: str | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """One issue of a repository, with its solution and the tests that decide."""

    instance_id: str
    """Unique, such as ``pydicom__pydicom-1458``."""
    repo: str
    """``owner/name``."""
    base_commit: str
    """Commit that the work starts from, in hex, at least 7 digits."""
    problem_statement: str
    patch: str
    """Unified diff of the solution; of the bug if ``patch_is_bug``."""
    test_patch: str
    """Unified diff of the tests that decide; empty where those of the commit do."""
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    hints_text: str = ""
    """What was said on the issue before the solution; not shown to agents."""
    version: str = ""
    environment_setup_commit: str = ""
    image: str = ""
    """Docker image that the row names; empty if it names none."""
    patch_is_bug: bool = False
    """Whether ``patch`` puts the bug into the commit, so that its reverse is the solution."""

    def as_row(self) -> dict[str, Any]:
        """Return the row as SWE-bench writes it, with lists of tests as JSON text."""
        row = {
            "instance_id": self.instance_id,
            "repo": self.repo,
            "base_commit": self.base_commit,
            "problem_statement": self.problem_statement,
            "hints_text": self.hints_text,
            "patch": self.patch,
            "test_patch": self.test_patch,
            "FAIL_TO_PASS": json.dumps(list(self.fail_to_pass)),
            "PASS_TO_PASS": json.dumps(list(self.pass_to_pass)),
            "version": self.version,
            "environment_setup_commit": self.environment_setup_commit,
        }
        return {**row, "image_name": self.image} if self.image else row


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that cannot be used."""

    place: str
    """File and line, or file and number of the entry."""
    field: str
    """The row's field; empty if the whole row is at fault."""
    reason: str

    def __str__(self) -> str:
        """Name the place, the field and the reason in one line."""
        return f"{self.place}{f', field {self.field}' if self.field else ''}: {self.reason}"


@dataclass(frozen=True, slots=True)
class InstanceFile:
    """What a file holds: the rows that can be used, and what is wrong with the others."""

    instances: tuple[Instance, ...]
    places: Mapping[str, str]
    """File and line of each instance by its id, as problems name them."""
    problems: tuple[RowProblem, ...] = ()


def read_instances(path: str | Path) -> InstanceFile:
    """Read a SWE-bench file: JSON Lines, or one JSON list; ``.gz`` and ``.zst`` are decompressed.

    A row that is wrong is named among the problems, and the others are read.

    Raises:
        TaskError: The file cannot be read, or is neither JSON Lines nor a JSON list.
    """
    path = Path(path)
    text = read_text(path)
    instances: dict[str, Instance] = {}
    places: dict[str, str] = {}
    problems: list[RowProblem] = []
    for place, value in json_rows(path, text):
        try:
            if isinstance(value, ValueError):
                raise FieldError("", f"no JSON: {value}")
            instance = parse_row(value)
            if instance.instance_id in instances:
                raise FieldError("instance_id", f"{instance.instance_id!r} occurs twice")
        except FieldError as error:
            problems.append(RowProblem(place, error.field, error.reason))
        else:
            instances[instance.instance_id] = instance
            places[instance.instance_id] = place
    return InstanceFile(tuple(instances.values()), places, tuple(problems))


def write_instances(path: str | Path, instances: Iterable[Instance]) -> None:
    """Write a SWE-bench file, one row a line.

    Raises:
        OSError: The file cannot be written.
    """
    lines = [f"{json.dumps(instance.as_row())}\n" for instance in instances]
    Path(path).write_text("".join(lines), encoding="utf-8")


class FieldError(TaskError):
    """A row cannot be used because of one of its fields."""

    def __init__(self, field: str, reason: str) -> None:
        """Say which field is at fault (none: the whole row) and why."""
        super().__init__(f"field {field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


def parse_row(value: Any) -> Instance:
    """Turn one decoded row into an instance.

    Raises:
        FieldError: A field is missing or has a wrong type.
    """
    try:
        row = _Row.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing":
            reason = f"is missing; a SWE-bench row needs {', '.join(_REQUIRED)}"
        elif first["type"] == "model_type":
            reason = f"expected a JSON object, got {type(value).__name__}"
        raise FieldError(field, reason) from error
    repo, commit, is_bug = row.repo, row.base_commit, False
    if commit is None:
        match = _SMITH_REPO.fullmatch(repo)
        if match is None:
            raise FieldError("base_commit", "is missing, and repo does not end in a commit")
        repo, commit, is_bug = f"{match['owner']}/{match['name']}", match["commit"], True
    if not is_bug and row.test_patch is None:
        raise FieldError("test_patch", "is missing; it may be empty")
    return Instance(
        instance_id=row.instance_id,
        repo=repo,
        base_commit=commit,
        problem_statement=row.problem_statement,
        patch=row.patch,
        test_patch=row.test_patch or "",
        fail_to_pass=tuple(row.fail_to_pass),
        pass_to_pass=tuple(row.pass_to_pass),
        hints_text=row.hints_text or "",
        version=str(row.version or ""),
        environment_setup_commit=row.environment_setup_commit or "",
        image=row.image_name or row.docker_image or "",
        patch_is_bug=is_bug,
    )


_REQUIRED = (
    *("instance_id", "repo", "base_commit", "problem_statement", "patch", "test_patch"),
    *("FAIL_TO_PASS", "PASS_TO_PASS"),
)


def json_rows(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """Yield place and value of each row of JSON Lines or of a JSON list.

    The value of a line that is no JSON is a ValueError.

    Raises:
        TaskError: The text begins like a JSON list and is none.
    """
    if text.lstrip()[:1] == "[":
        try:
            rows = json.loads(text)
        except ValueError as error:
            raise TaskError(f"{path} begins like a JSON list, but is none: {error}") from error
        for number, row in enumerate(rows, start=1):
            yield f"{path}, entry {number}", row
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            row = ValueError(_UNPRINTABLE.sub(" ", f"{error}; it reads {line!r:.60}"))
        yield f"{path}, line {number}", row
