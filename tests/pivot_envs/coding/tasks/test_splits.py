import dataclasses
from collections import defaultdict

import pytest

from pivot_envs.coding.task import CodingTask, Mutation
from pivot_envs.coding.tasks.splits import assign_splits


def _task(function: int, line: int, variant: int) -> CodingTask:
    mutation = Mutation("a.py", line, "<", f"<{variant}", 4, "comparison")
    name = f"function_{function}"
    return CodingTask(
        task_id=f"{name}/{line}/{variant}",
        package="tiny",
        version="1.0",
        source_sha256="0" * 64,
        function=f"a.py::{name}",
        mutation=mutation,
        issue="",
        fail_to_pass=("t::a",),
        pass_to_pass=(),
        split="train",
    )


TASKS = [
    _task(function, 100 * function + line, variant)
    for function in range(50)
    for line in range(1 + function % 6)
    for variant in range(3)
]


@pytest.mark.parametrize("seed", range(5))
def test_splits_never_mix(seed: int) -> None:
    by_function = defaultdict(set)
    by_span = defaultdict(set)
    for task in assign_splits(TASKS, seed=seed):
        by_function[task.function].add(task.split)
        by_span[task.mutation.line, task.mutation.column].add(task.split)
    assert all(len(splits) == 1 for splits in by_span.values())
    for splits in by_function.values():
        assert splits == {"unseen"} or ("train" in splits and "unseen" not in splits)


def test_splits_have_about_the_asked_shares() -> None:
    tasks = assign_splits(TASKS, seed=0, unseen_functions=0.2, test_mutations=0.25)
    unseen = {task.function for task in tasks if task.split == "unseen"}
    assert len(unseen) == 10
    known = [task for task in tasks if task.split != "unseen"]
    share = sum(task.split == "test" for task in known) / len(known)
    assert 0.1 < share < 0.35


def test_splits_depend_on_seed_only_and_keep_the_order() -> None:
    tasks = assign_splits(TASKS, seed=1)
    assert [task.task_id for task in tasks] == [task.task_id for task in TASKS]
    assert assign_splits(tasks, seed=1) == tasks
    assert assign_splits(tasks[::-1], seed=1)[::-1] == tasks
    assert assign_splits(tasks, seed=2) != tasks
    assert all(dataclasses.replace(task, split="train") in TASKS for task in tasks)
