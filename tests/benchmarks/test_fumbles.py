import json
from collections.abc import Mapping

import pytest

from benchmarks.corpus import Code, is_for_pretraining, package_code
from benchmarks.fumbles import rehearse
from benchmarks.rehearsal import RehearsalEnv, UnrecordedRunError, passed_output
from pivot_envs.coding.source import fetch_source
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import SourceError

FAILURE = "tests/test_more.py:3: in test\nE AssertionError\n"


@pytest.fixture(scope="module")
def tasks() -> Mapping[str, CodingTask]:
    known = TaskSet(split="train")
    every = [known[task_id] for task_id in known.ids]
    chosen = [
        task
        for task in every
        if task.package == "more-itertools"
        and task.suspects[:1] == (task.bug.function,)
        and is_for_pretraining(task.package, task.bug.function, task.bug.mutation)
    ]
    return {task.task_id: task for task in chosen[:12]}


@pytest.fixture(scope="module")
def code() -> Mapping[str, Code]:
    try:
        workspace = Workspace.of(fetch_source("more-itertools", "10.7.0"))
    except SourceError as error:
        pytest.skip(f"the source release cannot be fetched here: {error}")
    return {each.path: each for each in package_code(workspace)}


def rehearsal_env(tasks: Mapping[str, CodingTask], failure: str) -> RehearsalEnv:
    records = {task_id: (failure, passed_output(task)) for task_id, task in tasks.items()}
    return RehearsalEnv(tasks=None, records=records, max_output_chars=600)


def test_a_fumble_fails_its_tests_is_undone_and_is_the_only_thing_not_learned(
    tasks: Mapping[str, CodingTask], code: Mapping[str, Code]
) -> None:
    env = rehearsal_env(tasks, FAILURE)
    fumbles = 0
    for seed, task_id in enumerate(tasks):
        played = rehearse(env, task_id, seed, tasks, code)
        for index in played.wrong:
            messages = played.messages
            done, undone = (
                json.loads(messages[i].content)["arguments"] for i in (index, index + 4)
            )
            assert undone == {**done, "old": done["new"], "new": done["old"]}
            assert messages[index + 3].content.endswith("[exit code 1]")
            fumbles += 1
        assert json.loads(played.messages[-1].content)["name"] == "submit"
    assert fumbles >= len(tasks) / 2


def test_without_code_nothing_goes_wrong(tasks: Mapping[str, CodingTask]) -> None:
    env = rehearsal_env(tasks, FAILURE)
    played = [rehearse(env, task_id, 0, tasks) for task_id in tasks]
    assert not any(each.wrong for each in played)
    assert all(sum('"edit"' in m.content for m in each.messages) == 1 for each in played)


def test_an_output_that_was_not_recorded_is_not_made_up(
    tasks: Mapping[str, CodingTask], code: Mapping[str, Code]
) -> None:
    env = rehearsal_env(tasks, "")
    unrecorded = 0
    for seed, task_id in enumerate(tasks):
        try:
            rehearse(env, task_id, seed, tasks, code)
        except UnrecordedRunError:
            unrecorded += 1
    assert unrecorded >= len(tasks) / 2
