"""The demonstrator's edits: every shipped bug can be repaired in every style."""

import random

import pytest

from pivot_agents.expert import edit_call
from pivot_envs.coding.editing import edit_text
from pivot_envs.coding.gold import Mutation
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.task_file import default_tasks_path, read_tasks
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.errors import SourceError

TASKS = {task.task_id: task for task in read_tasks(default_tasks_path())}


@pytest.mark.parametrize("style", ["span", "wide span", "line"])
def test_every_shipped_bug_can_be_repaired_in_every_style(style: str) -> None:
    try:
        tasks = TaskSet()
        texts = {
            task.task_id: tasks.workspace(task).text(task.bug.mutation.path)
            for task in TASKS.values()
        }
    except SourceError as error:
        pytest.skip(f"a source release cannot be fetched here: {error}")
    for task in TASKS.values():
        assert repaired(task, texts[task.task_id], style), task.task_id


def repaired(task: CodingTask, text: str, style: str) -> bool:
    mutation = task.bug.mutation
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
