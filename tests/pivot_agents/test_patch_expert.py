"""Plans made of patches: their edits give the solution, and on real tasks they earn reward 1."""

import random
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot_agents.expert import CodingExpert
from pivot_agents.patch_expert import plan_calls
from pivot_agents.policy import Context
from pivot_envs import ToolCall
from pivot_envs.coding.diff import write_diff
from pivot_envs.coding.editing import edit_text
from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.gold import Bug, Mutation, Patch
from pivot_envs.coding.source import fetch_source
from pivot_envs.coding.task import CodingTask, Release
from pivot_envs.coding.task_file import write_tasks
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.errors import SandboxUnavailableError, SourceError, TaskError

LINES = st.lists(st.sampled_from(["a", "b", "", "  c"]), max_size=12)
TEXTS = st.builds(lambda lines, end: "\n".join(lines) + end, LINES, st.sampled_from(["", "\n"]))


def edited(text: str, calls: Sequence[ToolCall]) -> str:
    for call in calls:
        if call.name == "edit":
            text = edit_text(text, call.arguments)[0]
    return text


@settings(deadline=None)
@given(TEXTS, TEXTS, st.integers(0, 50))
def test_the_edits_of_a_plan_give_the_new_text(old: str, new: str, seed: int) -> None:
    calls = plan_calls(write_diff("a.py", old, new), random.Random(seed))
    assert edited(old, calls) == new
    assert calls[-1].name == "submit"


@settings(deadline=None, max_examples=20)
@given(TEXTS)
def test_new_files_are_written_and_old_ones_removed(text: str) -> None:
    diff = write_diff("made/by.py", None, text) + write_diff("old.py", "x\n", None)
    calls = plan_calls(diff, random.Random(0))
    commands = [call.arguments["command"] for call in calls if call.arguments.get("command")]
    assert "rm old.py" in commands
    (make,) = [command for command in commands if "made" in command]
    script = f'cd "$(mktemp -d)"\n{make}\ncat made/by.py'
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout == text


def test_plans_differ_by_seed_and_read_before_they_edit() -> None:
    diff = write_diff("a.py", "1\n" * 40, "1\n" * 20 + "2\n" + "1\n" * 20)
    plans = [plan_calls(diff, random.Random(seed)) for seed in range(20)]
    assert len({str(plan) for plan in plans}) > 5
    for plan in plans:
        names = [call.name for call in plan]
        assert names.index("view") < names.index("edit")


def play(env: CodingEnv, expert: CodingExpert, task_id: str) -> tuple[float, str]:
    env.reset(options={"task_id": task_id})
    transcript = []
    done, reward = False, 0.0
    while not done:
        (completion,) = expert.act([Context(env.messages, env.tools, task_id)])
        observation, reward, terminated, truncated, info = env.step(completion.text)
        assert not info["action_error"], (completion.text, observation)
        transcript.append(f"{completion.text}\n{observation}")
        done = terminated or truncated
    return reward, "\n".join(transcript)


def real_task(name: str, gold: Bug | Patch, tests: Sequence[str], **fields: str) -> CodingTask:
    try:
        source = fetch_source("more-itertools", "10.7.0")
    except SourceError as error:
        pytest.skip(f"a source release cannot be fetched here: {error}")
    origin = Release(source.name, source.version, source.sha256)
    return replace(CodingTask(name, "Tests fail.", origin, tuple(tests), (), gold), **fields)  # type: ignore[arg-type]


def bug_of_two_parts() -> CodingTask:
    path = "more_itertools/recipes.py"
    text = fetch_source("more-itertools", "10.7.0").files[path].decode()
    places = []
    for old, new in (
        ("return list(islice(iterable, n))", "pass"),
        ("return chain.from", "chain.from"),
    ):
        before = text[: text.index(old)].split("\n")
        places.append(Mutation(path, len(before), old, new, len(before[-1]), "dropped"))
    tests = ["TakeTests::test_simple_take", "FlattenTests::test_basic_usage"]
    functions = (f"{path}::take", f"{path}::flatten")
    bug = Bug(tuple(places), functions, 2)
    return real_task("two parts", bug, [f"tests/test_recipes.py::{test}" for test in tests])


def missing_branch() -> CodingTask:
    path = "more_itertools/more.py"
    text = fetch_source("more-itertools", "10.7.0").files[path].decode()
    old = "    if n < 1:\n        raise ValueError('n must be at least 1')\n"
    start = text.index(old, text.index("def divide("))
    number = text[:start].count("\n") + 1
    bug = Bug((Mutation(path, number, old, "", 0, "missing_branch"),), (f"{path}::divide",), 9)
    return real_task("branch", bug, ["tests/test_more.py::DivideTest::test_invalid_n"])


@pytest.mark.parametrize("make", [bug_of_two_parts, missing_branch])
def test_bugs_of_several_parts_and_lines_are_demonstrated(
    make: type[CodingTask], tmp_path: Path
) -> None:
    task = make()
    write_tasks(tmp_path / "tasks.jsonl", [task])
    tasks = TaskSet(str(tmp_path / "tasks.jsonl"))
    env = CodingEnv(tasks=str(tmp_path / "tasks.jsonl"), max_turns=30)
    try:
        for seed in range(3):
            expert = CodingExpert(tasks.__getitem__, find_diff=tasks.solution_diff, seed=seed)
            reward, transcript = play(env, expert, task.task_id)
            assert reward == 1.0, transcript
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    finally:
        env.close()


def test_an_expert_that_cannot_know_the_solution_says_so() -> None:
    task = bug_of_two_parts()
    expert = CodingExpert({task.task_id: task}.__getitem__)
    with pytest.raises(TaskError, match="its solution needs find_diff"):
        expert.act([Context((), (), task.task_id)])
