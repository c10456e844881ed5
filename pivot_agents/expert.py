"""CodingExpert, the demonstrator: reads what a developer would read, repairs, tests, submits."""

import random
import re
from collections.abc import Callable, Sequence

from pivot_agents.patch_expert import plan_calls
from pivot_agents.policy import Completion, Context
from pivot_envs import Message, ToolCall
from pivot_envs.coding.gold import Bug, BugPatch, Mutation, Patch
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.view import shown_lines
from pivot_envs.errors import TaskError

_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])")


class CodingExpert:
    """Solves tasks whose solution it knows, in more than one valid way.

    A bug of one line is found as follows; other solutions are planned from their diff.

    It knows what the line should read, not where the tools will lead: it looks where the tests
    point and at one suspect after the other until it sees the bug, then repairs, usually runs the
    tests, and submits. It names the function if the issue does, or if no suspect was the right
    one. Detours (running the tests first, searching for the definition) and the form of each
    step are drawn from the seed and the task, so that one seed gives one demonstration per task.
    """

    def __init__(
        self,
        find_task: Callable[[str], CodingTask],
        *,
        find_diff: Callable[[str], str] | None = None,
        seed: int = 0,
    ) -> None:
        """Create the expert.

        Args:
            find_task: Returns the task of an id, with its solution.
            find_diff: Returns the unified diff to a task's solution, as ``TaskSet.solution_diff``
                does; only bugs of several parts or lines need it.
            seed: Seed of the detours and variants.
        """
        self._find_task = find_task
        self._find_diff = find_diff
        self._seed = seed

    def act(self, contexts: Sequence[Context]) -> list[Completion]:
        """Answer each context with the next step of a demonstration."""
        return [Completion(self._next_call(context).as_text()) for context in contexts]

    def _next_call(self, context: Context) -> ToolCall:
        task = self._find_task(context.task_id)
        if not _is_one_line_bug(task.gold):
            return self._next_planned(context, task)
        bug = task.bug
        plan = random.Random(f"{self._seed} {task.task_id}")
        runs_first, searches, names_function, verifies = (
            plan.random() < share for share in (0.2, 0.1, 0.3, 0.75)
        )
        style = plan.choices(("span", "wide span", "line"), (0.8, 0.1, 0.1))[0]
        actions = [message.content for message in context.messages if message.role == "assistant"]
        line = _shown_line(context.messages, bug.mutation)
        if line is not None and '"edit"' not in "".join(actions):
            return edit_call(line, bug.mutation, style, plan)
        if line is not None:
            is_verified = '"bash"' in actions[-1]
            return ToolCall("bash" if verifies and not is_verified else "submit", {})
        if runs_first and not actions:
            return ToolCall("bash", {})
        if searches and not any("grep" in action for action in actions):
            name = bug.function.rsplit(".", 1)[-1].rsplit(":", 1)[-1]
            return ToolCall("bash", {"command": f"grep -n 'def {name}' {bug.mutation.path}"})
        views = sum('"view"' in action for action in actions)
        names_function = names_function and not views and _names(task.issue, bug.function)
        if names_function or views > len(task.suspects):
            return ToolCall("view", {"path": bug.function})
        return ToolCall("view", {})

    def _next_planned(self, context: Context, task: CodingTask) -> ToolCall:
        """Return the next call of a plan that follows from the seed and the task."""
        calls = plan_calls(self._diff(task), random.Random(f"{self._seed} {task.task_id}"))
        done = sum(message.role == "assistant" for message in context.messages)
        return calls[min(done, len(calls) - 1)]

    def _diff(self, task: CodingTask) -> str:
        if isinstance(task.gold, Patch):
            return task.gold.diff
        if task.gold is None or self._find_diff is None:
            missing = "solution is not known" if task.gold is None else "solution needs find_diff"
            raise TaskError(f"{task.task_id}: its {missing}")
        return self._find_diff(task.task_id)


def _is_one_line_bug(gold: Bug | BugPatch | Patch | None) -> bool:
    return isinstance(gold, Bug) and len(gold.mutations) == 1 and gold.mutation.is_one_line


def _names(issue: str, function: str) -> bool:
    """Tell whether an issue names a function by the last part of its name."""
    name = function.rpartition("::")[2].rpartition(".")[2]
    return re.search(rf"\b{re.escape(name)}\b", issue) is not None


def _shown_line(messages: Sequence[Message], mutation: Mutation) -> str | None:
    """Return the buggy line as the newest view of its file showed it, or None."""
    for message in reversed(messages):
        title, _, body = message.content.partition("\n")
        if message.role != "tool" or title.partition("::")[0] != mutation.path:
            continue
        if mutation.line in shown_lines(body):
            match = re.search(rf"^{mutation.line}\|(.*)$", body, flags=re.MULTILINE)
            return match[1] if match else None
    return None


def edit_call(line: str, mutation: Mutation, style: str, generator: random.Random) -> ToolCall:
    """Return a call that repairs a line.

    Args:
        line: The line with the bug.
        mutation: The bug.
        style: ``span``: the shortest span that occurs once; ``wide span``: one word more on a
            side; ``line``: the whole line.
        generator: Decides to which side a span grows.
    """
    start, end = mutation.column, mutation.column + len(mutation.mutated)
    if style == "line":
        text = line[:start] + mutation.original + line[end:]
        number = mutation.line
        return ToolCall("edit", {"start": number, "end": number, "text": text})
    wider = 1 if style == "wide span" else 0
    while wider or line.count(line[start:end]) != 1 or not line[start:end].strip():
        grown = _grow(line, start, end, to_left=generator.random() < 0.5)
        if grown == (start, end):
            break
        start, end = grown
        wider = 0
    old = line[start:end]
    offset = mutation.column - start
    new = old[:offset] + mutation.original + old[offset + len(mutation.mutated) :]
    return ToolCall("edit", {"line": mutation.line, "old": old, "new": new})


def _grow(line: str, start: int, end: int, *, to_left: bool) -> tuple[int, int]:
    """Add one word or sign to the span, on the other side where the line ends."""
    indent = len(line) - len(line.lstrip())
    if (to_left and start > indent) or end >= len(line):
        words = [match.start() for match in _TOKEN.finditer(line, indent, start)]
        return (max(words[-1], indent), end) if words else (start, end)
    match = _TOKEN.match(line, end)
    return start, match.end() if match else len(line)
