import dataclasses
from collections import defaultdict

import pytest

from pivot_envs.coding.gold import Bug, Mutation
from pivot_envs.coding.task import CodingTask, Release
from pivot_envs.coding.tasks.splits import TEST_SPANS, UNSEEN_FUNCTIONS, assign_splits, split_of


def _task(function: int, line: int, variant: int) -> CodingTask:
    mutation = Mutation("a.py", line, "<", f"<{variant}", 4, "comparison")
    name = f"function_{function}"
    return CodingTask(
        task_id=f"{name}/{line}/{variant}",
        issue="",
        origin=Release("tiny", "1.0", "0" * 64),
        gold=Bug((mutation,), (f"a.py::{name}",), 5),
        fail_to_pass=("t::a",),
        pass_to_pass=(),
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
        by_function[task.bug.function].add(task.split)
        by_span[task.bug.mutation.line, task.bug.mutation.column].add(task.split)
    assert all(len(splits) == 1 for splits in by_span.values())
    for splits in by_function.values():
        assert splits == {"unseen"} or ("train" in splits and "unseen" not in splits)


def test_splits_have_about_their_shares() -> None:
    tasks = [_task(function, line, 0) for function in range(400) for line in range(10)]
    tasks = list(assign_splits(tasks))
    unseen = {task.bug.function for task in tasks if task.split == "unseen"}
    assert abs(len(unseen) / 400 - UNSEEN_FUNCTIONS) < 0.05
    known = [task for task in tasks if task.split != "unseen"]
    share = sum(task.split == "test" for task in known) / len(known)
    assert abs(share - TEST_SPANS) < 0.03


def test_a_split_depends_on_the_task_and_the_seed_alone() -> None:
    tasks = assign_splits(TASKS, seed=1)
    assert assign_splits(tasks, seed=1) == tasks
    assert assign_splits(TASKS[::-1], seed=1)[::-1] == tasks
    assert assign_splits(tasks, seed=2) != tasks
    for task in tasks:
        assert task.split == split_of(task.package, task.bug.function, task.bug.mutation, seed=1)
        assert dataclasses.replace(task, split="train") in TASKS


def test_a_test_task_without_a_train_task_is_dropped() -> None:
    (lone,) = [
        task
        for task in TASKS
        if split_of(task.package, task.bug.function, task.bug.mutation) == "test"
    ][:1]
    assert assign_splits([lone]) == ()


def test_a_bug_of_several_parts_is_held_out_if_one_part_is() -> None:
    whole = {task.task_id: task for task in assign_splits(TASKS)}
    train, unseen = (
        next(task for task in whole.values() if task.split == split)
        for split in ("train", "unseen")
    )
    for first, second in ((train, unseen), (unseen, train)):
        mutations = (first.bug.mutation, second.bug.mutation)
        bug = Bug(mutations, (first.bug.function, second.bug.function), 10)
        (both, _) = assign_splits([dataclasses.replace(train, task_id="both", gold=bug), train])
        assert both.split == "unseen"
