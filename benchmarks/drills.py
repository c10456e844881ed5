"""Drills, the base model's exercises: find, repair, check and recite; look up and copy.

A small model learns to copy only from many questions about the same text, and its drills are made
of them: a list or a function is shown once and asked about several times.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from benchmarks.corpus import Code
from benchmarks.slips import draw_slips
from pivot_agents.expert import edit_call
from pivot_envs import Message, ToolCall
from pivot_envs.coding.gold import Mutation, apply_mutation, revert_mutation
from pivot_envs.coding.tasks.mutations import SourceFunction
from pivot_envs.coding.view import FunctionSpan, find_function, show_function, shown_lines
from pivot_envs.drill import MAX_SIZE, WORDS, DrillTask

MAX_BUGS = 5
_LOOK = Message("assistant", ToolCall("look", {}).as_text())


@cache
def _span(code: Code, function: str) -> FunctionSpan | None:
    return find_function(code.text, function)


def draw_bugs(function: SourceFunction, count: int, generator: random.Random) -> list[Mutation]:
    """Draw mutations on different lines of a function, in order; fewer where it has fewer.

    One that takes lines away, or goes over several, would move the others.
    """
    by_line: dict[int, list[Mutation]] = defaultdict(list)
    for mutation in function.mutations:
        if "\n" not in mutation.original + mutation.mutated:
            by_line[mutation.line].append(mutation)
    lines = generator.sample(sorted(by_line), min(count, len(by_line)))
    return [generator.choice(by_line[line]) for line in sorted(lines)]


@dataclass(frozen=True)
class _Broken:
    """A function with bugs."""

    text: str
    """Of the whole file."""
    bugs: Sequence[Mutation]
    view: str
    """As the agent is shown it."""


def _break(
    code: Code, function: SourceFunction, count: int, *, slips: bool, generator: random.Random
) -> _Broken | None:
    span = _span(code, function.name)
    if span is None:
        return None
    if slips:
        bugs = draw_slips(code, function, span, count, generator)
    else:
        bugs = draw_bugs(function, count, generator)
    text = code.text
    for bug in bugs:
        text = apply_mutation(text, bug)
    return _Broken(text, bugs, f"{code.path}::{function.name}\n{show_function(text, span)}")


def repair_drill(
    code: Code, function: SourceFunction, *, slips: bool, generator: random.Random
) -> tuple[Message, ...] | None:
    """Show a function with several bugs on different lines and repair them one by one.

    Args:
        code: The file.
        function: The function in it.
        slips: Whether the bugs are slips; else they are mutations as tasks have them.
        generator: Draws the bugs and the form of the edits.
    """
    count = generator.randint(1, MAX_BUGS)
    broken = _break(code, function, count, slips=slips, generator=generator)
    if broken is None or not broken.bugs:
        return None
    text = broken.text
    messages = [
        Message("user", f"{len(broken.bugs)} bugs in {function.name}."),
        Message("assistant", ToolCall("view", {}).as_text()),
        Message("tool", broken.view),
    ]
    for bug in broken.bugs:
        style = generator.choices(("span", "wide span", "line"), (0.8, 0.1, 0.1))[0]
        call = edit_call(text.split("\n")[bug.line - 1], bug, style, generator)
        text = revert_mutation(text, bug)
        repaired = text.split("\n")[bug.line - 1]
        shown = f"edited {code.path}\n{bug.line}|{repaired}"
        messages += [Message("assistant", call.as_text()), Message("tool", shown)]
    return tuple(messages[:-1])


def search_drill(
    pairs: Sequence[tuple[Code, SourceFunction]], *, slips: bool, generator: random.Random
) -> tuple[Message, ...] | None:
    """Show functions without bugs and then one with a bug; look on until there is one to repair.

    This is the decision that an episode asks for: to repair what is shown or to look further.
    """
    count = generator.choices((0, 1, 2, 3), (0.72, 0.16, 0.08, 0.04))[0]
    shown = [
        _break(code, function, 0, slips=slips, generator=generator)
        for code, function in generator.sample(pairs, min(count, len(pairs)))
    ]
    code, function = generator.choice(pairs)
    last = _break(code, function, 1, slips=slips, generator=generator)
    if last is None or not last.bugs:
        return None
    messages = [Message("user", "1 bug.")]
    for broken in (*shown, last):
        if broken is None:
            return None
        messages.append(Message("assistant", ToolCall("view", {}).as_text()))
        messages.append(Message("tool", broken.view))
    (bug,) = last.bugs
    call = edit_call(last.text.split("\n")[bug.line - 1], bug, "span", generator)
    return (*messages, Message("assistant", call.as_text()))


def proofreading_drill(
    code: Code, function: SourceFunction, *, slips: bool, generator: random.Random
) -> tuple[Message, ...] | None:
    """Show a function with some bugs and say of each line whether it is right.

    A repair asks for one line; this asks about all of them, with many more answers to learn from.
    """
    count = generator.randint(0, MAX_BUGS)
    broken = _break(code, function, count, slips=slips, generator=generator)
    if broken is None:
        return None
    wrong = {bug.line for bug in broken.bugs}
    verdicts = (f"{n}-" if n in wrong else f"{n}+" for n in sorted(shown_lines(broken.view)))
    return (
        Message("user", f"Check {function.name}."),
        Message("assistant", ToolCall("view", {}).as_text()),
        Message("tool", broken.view),
        Message("assistant", ToolCall("answer", {"text": " ".join(verdicts)}).as_text()),
    )


def recital(code: Code, function: SourceFunction) -> tuple[Message, ...] | None:
    """Have a function without bugs written out, so that the model knows how it should read."""
    span = _span(code, function.name)
    if span is None:
        return None
    title = f"{code.path}::{function.name}"
    return (Message("assistant", f"{title}\n{show_function(code.text, span)}"),)


def look_up_drill(words: Sequence[str], generator: random.Random) -> tuple[Message, ...]:
    """Set a drill of ``pivot/Drill-v0`` with a size up to 8, or ask many questions about a list."""
    kind = generator.choices(("lookup", "reverse", "questions"), (0.35, 0.15, 0.5))[0]
    if kind == "questions":
        return _questions(generator.choice((WORDS, words)), generator)
    size = generator.randint(2, min(8, MAX_SIZE))
    # Seeds below 2**40 are never drawn here, so evaluation can have those for itself.
    task = DrillTask.from_id(f"{kind}-{size}-{2**40 + generator.randrange(2**40)}")
    return (
        Message("user", task.question),
        _LOOK,
        Message("tool", "\n".join(task.lines)),
        Message("assistant", ToolCall("answer", {"text": task.solution}).as_text()),
    )


def _questions(words: Sequence[str], generator: random.Random) -> tuple[Message, ...]:
    keys = generator.sample(words, generator.randint(3, 8))
    values = {key: generator.choice(words) for key in keys}
    shown = "\n".join(f"{key}={value}" for key, value in values.items())
    generator.shuffle(keys)
    messages: list[Message] = []
    for key in keys:
        messages.append(Message("user", f"What is the value of {key}?"))
        if len(messages) == 1:
            messages += [_LOOK, Message("tool", shown)]
        messages.append(Message("assistant", ToolCall("answer", {"text": values[key]}).as_text()))
    return tuple(messages)


def copying_drill(words: Sequence[str], generator: random.Random) -> tuple[Message, ...]:
    """Ask for lines of a numbered list, back to the letter; the period varies with its length."""
    first = generator.randint(1, 4000)
    lines = [
        " ".join(generator.choices(words, k=generator.randint(2, 7)))
        for _ in range(generator.randint(3, 12))
    ]
    messages: list[Message] = []
    for chosen in generator.sample(range(len(lines)), min(len(lines), generator.randint(2, 5))):
        messages.append(Message("user", f"Copy line {first + chosen}."))
        if len(messages) == 1:
            shown = "\n".join(f"{first + i}|{line}" for i, line in enumerate(lines))
            messages += [_LOOK, Message("tool", shown)]
        answer = ToolCall("answer", {"text": lines[chosen]})
        messages.append(Message("assistant", answer.as_text()))
    return tuple(messages)


def drill_words(code: Sequence[Code]) -> list[str]:
    """Return words that occur in the sources, for the lists."""
    words = {word for each in code for word in each.text.split() if 1 <= len(word) <= 14}
    return sorted(words)
