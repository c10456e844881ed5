"""Fumbles: a wrong edit in a rehearsed episode, found out by the tests and undone.

The expert never errs, so its episodes do not show what to do when tests still fail. The wrong
edits themselves are not learned.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmarks.corpus import Code
from benchmarks.rehearsal import RehearsalEnv
from benchmarks.slips import draw_slips
from pivot_agents.expert import CodingExpert, edit_call
from pivot_agents.policy import Context
from pivot_envs import Message, ToolCall
from pivot_envs.coding.gold import Mutation
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.view import find_function

_LATEST = 9
"""Most messages before a fumble: later ones leave no turns to repair it."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """An episode as it was played, and which of its messages are not to be learned."""

    messages: tuple[Message, ...]
    wrong: frozenset[int] = frozenset()
    """Indices of the wrong edits."""


def rehearse(
    env: RehearsalEnv,
    task_id: str,
    seed: int,
    tasks: Mapping[str, CodingTask],
    code: Mapping[str, Code] | None = None,
) -> Rehearsal:
    """Play the expert's episode on a task.

    Args:
        env: The environment.
        task_id: The task.
        seed: Decides what the expert and the fumble do.
        tasks: Tasks by id.
        code: The package's files by path. If given, one wrong edit of a function that was shown
            precedes the expert's edit, where that function may be drilled.

    Raises:
        UnrecordedRunError: The episode runs tests whose output was not recorded.
    """
    expert = CodingExpert(tasks.__getitem__, seed=seed)
    generator = random.Random(f"{seed} {task_id} fumble")
    # A fumble can be made in the function with the bug or in one that was shown before it.
    patience = generator.choice((0, 0, 1))
    env.reset(options={"task_id": task_id})
    hidden = range(0)
    done = False
    while not done:
        seen = [m for index, m in enumerate(env.messages) if index not in hidden]
        action = expert.act([Context(tuple(seen), env.tools, task_id)])[0].text
        is_time = '"edit"' in action or len(seen) > 2 + 2 * patience
        if code is not None and is_time and not hidden and len(seen) <= _LATEST:
            hidden = _fumble(env, code, tasks[task_id].bug.mutation, generator)
            if hidden:
                continue
        _, _, terminated, truncated, _ = env.step(action)
        done = terminated or truncated
    return Rehearsal(tuple(env.messages[:-1]), frozenset(hidden[:1]))


def _fumble(
    env: RehearsalEnv, code: Mapping[str, Code], bug: Mutation, generator: random.Random
) -> range:
    """Make a wrong edit, run the tests and undo it; return the indices of the messages, if any."""
    first = len(env.messages)
    edits = _wrong_edit(env, code, bug, generator)
    if edits is not None:
        for call in (edits[0], ToolCall("bash", {}), edits[1]):
            env.step(call.as_text())
    return range(first, len(env.messages))


def _wrong_edit(
    env: RehearsalEnv, code: Mapping[str, Code], bug: Mutation, generator: random.Random
) -> tuple[ToolCall, ToolCall] | None:
    """Return an edit that makes a slip in the function shown last, and the one that undoes it."""
    title = env.messages[-1].content.partition("\n")[0]
    path, _, name = title.partition("::")
    functions = [f for f in code[path].functions if f.name == name] if path in code else []
    span = find_function(code[path].text, name) if functions else None
    if span is None:
        return None
    slips = [
        slip
        for slip in draw_slips(code[path], functions[0], span, 3, generator)
        if (slip.path, slip.line) != (bug.path, bug.line) and slip.mutated
    ]
    if not slips:
        return None
    slip = generator.choice(slips)
    line = code[path].text.split("\n")[slip.line - 1]
    if not re.search(rf"^{slip.line}\|", env.messages[-1].content, flags=re.MULTILINE):
        return None
    turned = replace(slip, original=slip.mutated, mutated=slip.original)
    done = edit_call(line, turned, "span", generator)
    old, new = done.arguments["old"], done.arguments["new"]
    if line.replace(old, new).count(new) != 1:
        return None
    return done, ToolCall("edit", {**done.arguments, "old": new, "new": old})
