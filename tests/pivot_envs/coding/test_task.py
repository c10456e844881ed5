import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pivot_envs.coding.task import CodingTask, Mutation, read_tasks, write_tasks
from pivot_envs.errors import TaskError

TASK = CodingTask(
    task_id="tiny-1.0/clamp/1a2b3c4d",
    package="tiny",
    version="1.0",
    source_sha256="0" * 64,
    function="tiny.py::clamp",
    lines=5,
    mutation=Mutation("tiny.py", 6, "<", "<=", 13, "comparison"),
    issue="tiny 1.0: 1 test fails.\ntests/test_tiny.py::test_clamp[ü\u2028]",
    fail_to_pass=("tests/test_tiny.py::test_clamp[ü\u2028]",),
    pass_to_pass=(),
    suspects=(),
    split="train",
)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_task_file_gives_back_its_tasks(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tasks.jsonl{suffix}"
    other = dataclasses.replace(TASK, task_id="other")
    write_tasks(path, [TASK, other])
    assert read_tasks(path) == (TASK, other)
    first = path.read_bytes()
    write_tasks(path, [TASK, other])
    assert path.read_bytes() == first


def test_the_hash_depends_on_every_field() -> None:
    changed = dataclasses.replace(TASK, mutation=dataclasses.replace(TASK.mutation, column=3))
    assert TASK.hash() == dataclasses.replace(TASK).hash()
    assert TASK.hash() != changed.hash()


def _without_issue(task: dict[str, Any]) -> None:
    del task["issue"]


def _with_line_zero(task: dict[str, Any]) -> None:
    task["mutation"]["line"] = 0


def _with_line_as_text(task: dict[str, Any]) -> None:
    task["mutation"]["line"] = "6"


def _with_two_lines(task: dict[str, Any]) -> None:
    task["mutation"]["mutated"] = "a\nb"


def _outside_the_workspace(task: dict[str, Any]) -> None:
    task["mutation"]["path"] = "../tiny.py"


def _with_an_unknown_field(task: dict[str, Any]) -> None:
    task["reward"] = 1


def _without_failing_tests(task: dict[str, Any]) -> None:
    task["fail_to_pass"] = []


@pytest.mark.parametrize(
    ("damage", "field"),
    [
        (_without_issue, "issue"),
        (_with_line_zero, "mutation.line"),
        (_with_line_as_text, "mutation.line"),
        (_with_two_lines, "mutation.mutated"),
        (_outside_the_workspace, "mutation.path"),
        (_with_an_unknown_field, "reward"),
        (_without_failing_tests, "fail_to_pass"),
    ],
)
def test_a_wrong_task_is_reported_with_file_line_and_field(
    tmp_path: Path, damage: Callable[[dict[str, Any]], None], field: str
) -> None:
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, [dataclasses.replace(TASK, task_id="good"), TASK])
    *lines, last = path.read_text().splitlines()
    task = json.loads(last)
    damage(task)
    path.write_text("\n".join([*lines, json.dumps(task)]))
    with pytest.raises(TaskError, match=rf"tasks\.jsonl, line 3, field {field}"):
        read_tasks(path)


def test_a_line_that_is_no_json_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, [TASK])
    path.write_text(path.read_text()[:-20])
    with pytest.raises(TaskError, match="line 2, field the whole line"):
        read_tasks(path)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("kept", [0, 10, -5])
def test_a_truncated_archive_is_reported(tmp_path: Path, suffix: str, kept: int) -> None:
    path = tmp_path / f"tasks.jsonl{suffix}"
    write_tasks(path, [TASK])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(TaskError, match=r"tasks\.jsonl"):
        read_tasks(path)


@pytest.mark.parametrize(
    "header", ["", '{"format":"pivot-coding-tasks","version":3}', "[]", "text"]
)
def test_a_foreign_header_is_reported(tmp_path: Path, header: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(f"{header}\n")
    with pytest.raises(TaskError, match="line 1: expected the header"):
        read_tasks(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="No such file"):
        read_tasks(tmp_path / "tasks.jsonl")


def test_a_task_that_occurs_twice_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, [TASK, TASK])
    with pytest.raises(TaskError, match=r"line 3: task_id .* occurs twice"):
        read_tasks(path)


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, [TASK])
    unwritable = dataclasses.replace(TASK, issue=b"bytes")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        write_tasks(path, [unwritable])
    assert read_tasks(path) == (TASK,)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tasks.jsonl"]
