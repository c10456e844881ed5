import random
from collections.abc import Iterator

import pytest

from pivot_agents.expert import CodingExpert, edit_call, task_finder
from pivot_agents.policy import Context
from pivot_envs.coding.editing import edit_text
from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.task import CodingTask, Mutation, default_tasks_path, read_tasks
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.errors import SandboxUnavailableError, SourceError

TASKS = {task.task_id: task for task in read_tasks(default_tasks_path())}
PACKAGES = sorted({task.package for task in TASKS.values()})
SAMPLE = [
    task.task_id
    for package in PACKAGES
    for task in random.Random(0).sample([t for t in TASKS.values() if t.package == package], 4)
]


@pytest.fixture(scope="module")
def env() -> Iterator[CodingEnv]:
    coding_env = CodingEnv(task_ids=SAMPLE)
    try:
        for task_id in SAMPLE:
            coding_env.reset(seed=0, options={"task_id": task_id})
    except (SandboxUnavailableError, SourceError) as error:
        pytest.skip(f"no episodes can be run here: {error}")
    yield coding_env
    coding_env.close()


def play(env: CodingEnv, task_id: str, seed: int) -> tuple[float, list[str]]:
    expert = CodingExpert(task_finder(TASKS), seed=seed)
    env.reset(seed=0, options={"task_id": task_id})
    while True:
        (completion,) = expert.act([Context(env.messages, env.tools, task_id)])
        _, reward, terminated, truncated, _ = env.step(completion.text)
        if terminated or truncated:
            actions = [message.content for message in env.messages if message.role == "assistant"]
            return reward, actions


@pytest.mark.parametrize("task_id", SAMPLE)
def test_the_expert_solves_real_tasks_and_doing_nothing_does_not(
    env: CodingEnv, task_id: str
) -> None:
    reward, actions = play(env, task_id, seed=0)
    assert reward == 1.0
    assert '"view"' in actions[0] or '"bash"' in actions[0]
    assert actions[-1] == '{"name": "submit", "arguments": {}}'
    env.reset(seed=0, options={"task_id": task_id})
    _, reward, terminated, _, _ = env.step('{"name": "submit", "arguments": {}}')
    assert (reward, terminated) == (0.0, True)


def test_one_seed_gives_one_demonstration_and_others_give_more(env: CodingEnv) -> None:
    ways = [play(env, SAMPLE[0], seed)[1] for seed in range(6)]
    assert ways[0] == play(env, SAMPLE[0], 0)[1]
    assert len({tuple(way) for way in ways}) > 1


@pytest.mark.parametrize("style", ["span", "wide span", "line"])
def test_every_shipped_bug_can_be_repaired_in_every_style(style: str) -> None:
    try:
        tasks = TaskSet()
        texts = {
            task.task_id: tasks.workspace(task).text(task.mutation.path) for task in TASKS.values()
        }
    except SourceError as error:
        pytest.skip(f"a source release cannot be fetched here: {error}")
    for task in TASKS.values():
        assert repaired(task, texts[task.task_id], style), task.task_id


def repaired(task: CodingTask, text: str, style: str) -> bool:
    mutation = task.mutation
    lines = text.split("\n")
    original = lines[mutation.line - 1]
    end = mutation.column + len(mutation.original)
    lines[mutation.line - 1] = original[: mutation.column] + mutation.mutated + original[end:]
    call = edit_call(lines[mutation.line - 1], mutation, style, random.Random(0))
    return edit_text("\n".join(lines), call.arguments)[0] == text


@pytest.mark.parametrize(
    ("line", "column", "mutated", "old"),
    [
        ("    return a + b", 13, "+", "+"),
        ("    x = x", 4, "x", "x ="),
        ("    x = x", 8, "x", "= x"),
        ("    f(a, a)", 9, "a", "a)"),
        ("    f(a, )", 9, "", ")"),
    ],
)
def test_a_span_grows_until_it_occurs_once(line: str, column: int, mutated: str, old: str) -> None:
    mutation = Mutation("a.py", 3, "good", mutated, column, "operator")
    spans = {
        edit_call(line, mutation, "span", random.Random(seed)).arguments["old"]
        for seed in range(20)
    }
    assert old in {span.strip() for span in spans}
    assert all(line.count(span) == 1 for span in spans)


def test_an_edit_by_line_keeps_the_rest_of_the_line() -> None:
    mutation = Mutation("a.py", 3, "-", "+", 13, "operator")
    call = edit_call("    return a + b", mutation, "line", random.Random(0))
    assert call.arguments == {"start": 3, "end": 3, "text": "    return a - b"}
