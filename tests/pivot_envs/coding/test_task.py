import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pivot_envs.coding.gold import Bug, Mutation, Patch
from pivot_envs.coding.task import (
    CodingTask,
    Difficulty,
    Environment,
    Foreign,
    Release,
    Repository,
)
from pivot_envs.coding.task_file import load_tasks, read_tasks, write_tasks
from pivot_envs.errors import TaskError

TASK = CodingTask(
    task_id="tiny-1.0/clamp/1a2b3c4d",
    origin=Release("tiny", "1.0", "0" * 64),
    gold=Bug((Mutation("tiny.py", 6, "<", "<=", 13, "comparison"),), ("tiny.py::clamp",), 5),
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
    moved = dataclasses.replace(TASK.bug.mutation, column=3)
    changed = dataclasses.replace(TASK, gold=dataclasses.replace(TASK.bug, mutations=(moved,)))
    assert TASK.hash() == dataclasses.replace(TASK).hash()
    assert TASK.hash() != changed.hash()


def _without_issue(task: dict[str, Any]) -> None:
    del task["issue"]


def _with_line_zero(task: dict[str, Any]) -> None:
    task["gold"]["mutations"][0]["line"] = 0


def _with_line_as_text(task: dict[str, Any]) -> None:
    task["gold"]["mutations"][0]["line"] = "6"


def _with_a_carriage_return(task: dict[str, Any]) -> None:
    task["gold"]["mutations"][0]["mutated"] = "a\r\nb"


def _outside_the_workspace(task: dict[str, Any]) -> None:
    task["gold"]["mutations"][0]["path"] = "../tiny.py"


def _with_an_unknown_field(task: dict[str, Any]) -> None:
    task["reward"] = 1


def _without_failing_tests(task: dict[str, Any]) -> None:
    task["fail_to_pass"] = []


@pytest.mark.parametrize(
    ("damage", "field"),
    [
        (_without_issue, "issue"),
        (_with_line_zero, "gold.bug.mutations.0.line"),
        (_with_line_as_text, "gold.bug.mutations.0.line"),
        (_with_a_carriage_return, "gold.bug.mutations.0.mutated"),
        (_outside_the_workspace, "gold.mutations.0.path"),
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
    "header", ["", '{"format":"pivot-coding-tasks","version":"3"}', "[]", "text"]
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


def test_what_is_right_in_a_file_is_loaded_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, [TASK, *(dataclasses.replace(TASK, task_id=name) for name in "abc")])
    lines = path.read_text().splitlines()
    wrong = json.loads(lines[2])
    del wrong["origin"]["sha256"]
    lines[2:4] = [json.dumps(wrong), "no JSON"]
    path.write_text("\n".join(lines))
    loaded = load_tasks(path)
    assert [task.task_id for task in loaded.tasks] == [TASK.task_id, "c"]
    missing, unreadable = loaded.problems
    assert missing == f"{path}, line 3, field origin.release.sha256: Field required"
    assert unreadable.startswith(f"{path}, line 4, field the whole line: Invalid JSON")


def test_a_file_of_a_newer_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"format":"pivot-coding-tasks","version":9}\n')
    with pytest.raises(TaskError, match=r"tasks\.jsonl, line 1, field version: .* 9, .* update"):
        read_tasks(path)


@pytest.mark.parametrize(
    ("field", "diff", "reason"),
    [
        ("gold.diff", "what?", "no unified diff"),
        (
            "gold.diff",
            "--- a/../x.py\n+++ b/../x.py\n@@ -1 +1 @@\n-a\n+b\n",
            "leaves the workspace",
        ),
        ("test_patch", "--- a/x.py\n+++ /x.py\n@@ -1 +1 @@\n-a\n+b\n", "leaves"),
    ],
)
def test_a_wrong_patch_is_named(tmp_path: Path, field: str, diff: str, reason: str) -> None:
    path = tmp_path / "tasks.jsonl"
    patches = {field: diff}
    task = dataclasses.replace(
        TASK,
        gold=Patch(patches["gold.diff"]) if "gold.diff" in patches else None,
        test_patch=patches.get("test_patch", ""),
    )
    write_tasks(path, [task])
    with pytest.raises(TaskError, match=rf"line 2, field {field}: .*{reason}"):
        read_tasks(path)


def test_every_kind_of_task_comes_back_from_a_file(tmp_path: Path) -> None:
    tasks = [
        TASK,
        dataclasses.replace(
            TASK,
            task_id="repository",
            origin=Repository("owner/name", "0" * 40),
            gold=Patch("--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n"),
            environment=Environment(("six>=1",), "image:1", ("-o", "pythonpath=src"), 60.0),
        ),
        dataclasses.replace(TASK, task_id="foreign", origin=Foreign("a.b:C:d", {"e": [1, None]})),
        dataclasses.replace(TASK, task_id="unknown", gold=None, difficulty=Difficulty(1, 2, 3)),
    ]
    write_tasks(tmp_path / "tasks.jsonl", tasks)
    assert read_tasks(tmp_path / "tasks.jsonl") == tuple(tasks)
