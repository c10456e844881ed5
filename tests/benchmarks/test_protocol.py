from dataclasses import replace

import pytest

from benchmarks.corpus import is_for_pretraining
from benchmarks.protocol import PRESETS, draw_tasks
from pivot_envs.coding.task_file import default_tasks_path, read_tasks
from pivot_envs.errors import TaskError


@pytest.fixture(scope="module")
def tasks():
    return {task.task_id: task for task in read_tasks(default_tasks_path())}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_gets_the_tasks_it_asks_for_and_none_twice(tasks, preset):
    protocol = PRESETS[preset]
    draw = draw_tasks(tasks.values(), protocol)
    assert len(draw.train) == protocol.demonstrations
    assert len(draw.validation) == protocol.validation_tasks
    assert len(draw.test) == protocol.test_tasks
    assert len(draw.unseen) == protocol.unseen_tasks
    assert len(set(draw.every)) == len(draw.every)


def test_arms_learn_from_tasks_that_are_new_to_the_base(tasks):
    draw = draw_tasks(tasks.values(), PRESETS["full"])
    for task in (tasks[task_id] for task_id in draw.train + draw.validation):
        assert task.split == "train"
        assert not is_for_pretraining(task.package, task.bug.function, task.bug.mutation)
    assert {tasks[task_id].split for task_id in draw.test} == {"test"}
    assert {tasks[task_id].split for task_id in draw.unseen} == {"unseen"}


@pytest.mark.parametrize("preset", PRESETS)
def test_long_functions_are_in_no_set(tasks, preset):
    protocol = PRESETS[preset]
    lines = {tasks[task_id].bug.lines for task_id in draw_tasks(tasks.values(), protocol).every}
    assert max(lines) <= protocol.max_lines <= max(task.bug.lines for task in tasks.values())


def test_the_draw_follows_its_seed_and_not_the_order_of_the_file(tasks):
    protocol = PRESETS["quick"]
    draw = draw_tasks(tasks.values(), protocol)
    assert draw == draw_tasks(reversed(tasks.values()), protocol)
    assert draw != draw_tasks(tasks.values(), replace(protocol, draw_seed=1))


def test_a_file_without_held_out_tasks_is_refused(tasks):
    train = [task for task in tasks.values() if task.split == "train"]
    with pytest.raises(TaskError, match="'test'"):
        draw_tasks(train, PRESETS["quick"])


@pytest.mark.parametrize("preset", PRESETS)
def test_profiling_stays_within_its_share_of_the_budget(preset):
    protocol = PRESETS[preset]
    turns = protocol.profiled_states * protocol.profile_samples
    assert turns <= protocol.profile_share * protocol.turn_budget
