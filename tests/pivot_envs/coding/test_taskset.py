import shutil
from pathlib import Path

import numpy as np
import pytest

from pivot_envs.coding.taskset import TaskSet
from pivot_envs.errors import TaskError


def test_tasks_are_chosen_by_split_and_id(tiny_tasks: Path) -> None:
    path = str(tiny_tasks)
    assert TaskSet(path).ids == ("tiny-1.0/clamp", "tiny-1.0/Counter.add")
    assert TaskSet(path, split="test").ids == ("tiny-1.0/Counter.add",)
    chosen = TaskSet(path, task_ids=["tiny-1.0/clamp"])
    assert len(chosen) == 1
    assert "tiny-1.0/clamp" in chosen
    assert "tiny-1.0/Counter.add" not in chosen


def test_the_generator_draws_every_task(tiny_tasks: Path) -> None:
    tasks, generator = TaskSet(str(tiny_tasks)), np.random.default_rng(0)
    assert {tasks.draw(generator) for _ in range(20)} == set(tasks.ids)


def test_a_process_shares_tasks_and_workspaces(tiny_tasks: Path) -> None:
    one, other = TaskSet(str(tiny_tasks)), TaskSet(str(tiny_tasks), split="train")
    task = one["tiny-1.0/clamp"]
    assert other["tiny-1.0/clamp"] is task
    assert one.workspace(task) is other.workspace(task)


def test_a_changed_file_is_read_again(tiny_tasks: Path, tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    shutil.copy(tiny_tasks, path)
    assert len(TaskSet(str(path))) == 2
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    assert len(TaskSet(str(path))) == 1


def test_wrong_choices_are_named(tiny_tasks: Path, tmp_path: Path) -> None:
    path = str(tiny_tasks)
    with pytest.raises(TaskError, match=r"none of 2 tasks is of split 'valid'.*test, train"):
        TaskSet(path, split="valid")
    with pytest.raises(TaskError, match="no task 'lost'"):
        TaskSet(path, task_ids=["tiny-1.0/clamp", "lost"])
    with pytest.raises(TaskError, match=r"cannot read the task file .*lost\.jsonl"):
        TaskSet(str(tmp_path / "lost.jsonl"))
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text(tiny_tasks.read_text().replace('"line":', '"lines":'))
    with pytest.raises(TaskError, match=r"line 2, field gold\.bug\.mutations\.0\.line"):
        TaskSet(str(damaged))
