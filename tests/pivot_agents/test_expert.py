"""The demonstrator on real tasks: it solves them, doing nothing does not, and it varies."""

import random

import pytest

from pivot_agents.expert import CodingExpert
from pivot_agents.policy import Context
from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.task_file import default_tasks_path, read_tasks
from pivot_envs.errors import SourceError

TASKS = {task.task_id: task for task in read_tasks(default_tasks_path())}


def episode(env: CodingEnv, task_id: str, seed: int) -> tuple[float, list[str]]:
    """Play the expert's episode; return its reward and its actions."""
    expert = CodingExpert(TASKS.__getitem__, seed=seed)
    env.reset(options={"task_id": task_id})
    actions: list[str] = []
    done = False
    reward = 0.0
    while not done:
        (completion,) = expert.act([Context(env.messages, env.tools, task_id)])
        actions.append(completion.text)
        _, reward, terminated, truncated, _ = env.step(completion.text)
        done = terminated or truncated
    return reward, actions


@pytest.fixture(scope="module")
def env() -> CodingEnv:
    made = CodingEnv(max_turns=12)
    try:
        made.reset(seed=0)
    except SourceError as error:
        pytest.skip(f"a source release cannot be fetched here: {error}")
    return made


def drawn(count: int) -> list[CodingTask]:
    return random.Random(1).sample(list(TASKS.values()), count)


@pytest.mark.parametrize("task", drawn(12), ids=lambda task: task.task_id)
def test_the_oracle_solves_real_tasks_and_doing_nothing_does_not(
    env: CodingEnv, task: CodingTask
) -> None:
    assert episode(env, task.task_id, seed=0)[0] == 1.0
    env.reset(options={"task_id": task.task_id})
    _, reward, terminated, *_ = env.step('{"name": "submit", "arguments": {}}')
    assert (reward, terminated) == (0.0, True)


def test_demonstrations_are_not_one_fixed_string(env: CodingEnv) -> None:
    (task,) = drawn(1)
    episodes = {tuple(episode(env, task.task_id, seed)[1]) for seed in range(6)}
    assert len(episodes) > 1
