from dataclasses import replace
from pathlib import Path

import pytest

from pivot_envs.coding.gold import Mutation, apply_mutation, revert_mutation
from pivot_envs.coding.source import PackageSource
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import TaskError

MUTATION = Mutation("tiny.py", 2, "low", "high", 4, "name")


def test_a_workspace_lists_files_and_folders(tiny_source: PackageSource) -> None:
    workspace = Workspace.of(tiny_source)
    kinds = {entry.path: entry.kind for entry in workspace.state.files}
    assert kinds == {"tests": "directory", "tests/test_tiny.py": "file", "tiny.py": "file"}
    assert workspace.package_paths() == ("tiny.py",)
    assert workspace.is_test("tests/test_tiny.py")
    assert not workspace.owns("tiny.pyc")


def test_only_the_buggy_file_differs_from_the_release(tiny_tasks: Path) -> None:
    tasks = TaskSet(str(tiny_tasks))
    task = tasks["tiny-1.0/clamp"]
    workspace = tasks.workspace(task)
    buggy = workspace.start_state(task)
    changed = [
        entry.path
        for entry, original in zip(buggy.files, workspace.state.files, strict=True)
        if entry != original
    ]
    assert changed == ["tiny.py"]
    assert all(entry.content in buggy.blobs for entry in buggy.files if entry.kind == "file")


def test_a_mutation_is_taken_out_as_it_was_put_in() -> None:
    text = "first\nif (low < 3):\n"
    assert apply_mutation(text, MUTATION) == "first\nif (high < 3):\n"
    assert revert_mutation(apply_mutation(text, MUTATION), MUTATION) == text


@pytest.mark.parametrize("text", ["first\nif low:\n", "first", ""])
def test_a_mutation_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(TaskError, match="should hold 'low' at column 4"):
        apply_mutation(text, MUTATION)


def test_a_mutation_of_an_unknown_file_is_refused(tiny_tasks: Path) -> None:
    tasks = TaskSet(str(tiny_tasks))
    task = tasks["tiny-1.0/clamp"]
    lost = replace(
        task, gold=replace(task.bug, mutations=(replace(task.bug.mutation, path="lost.py"),))
    )
    with pytest.raises(TaskError, match=r"no file 'lost.py'"):
        tasks.workspace(task).start_state(lost)
