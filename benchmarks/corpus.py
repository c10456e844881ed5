"""The corpus of the base model: rendered episodes, repair drills, look-up drills, Python text.

Held-out tasks stay out of it: mutations of the ``test`` split are left out of the drills, and
functions of the ``unseen`` split are neither drilled nor viewed. Tracebacks in test output may
quote single lines of them.
"""

import hashlib
import json
import random
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rehearsal import RehearsalEnv
from pivot_agents.expert import CodingExpert, edit_call
from pivot_agents.policy import Context
from pivot_envs import Message, ToolCall
from pivot_envs.coding.task import CodingTask, Mutation
from pivot_envs.coding.tasks.mutations import SourceFunction
from pivot_envs.coding.tasks.mutations import find_functions as find_mutations
from pivot_envs.coding.tasks.splits import is_unseen, split_of
from pivot_envs.coding.view import FunctionSpan, find_function, show_function
from pivot_envs.coding.workspace import Workspace, apply_mutation, revert_mutation
from pivot_envs.drill import MAX_SIZE, DrillTask

OBSERVATION_WEIGHT = 0.1
"""Weight in the loss of a token that the environment wrote; the agent's tokens weigh 1."""
MAX_BODY_LINES = 16


@dataclass(frozen=True, slots=True)
class Row:
    """One training sequence."""

    token_ids: NDArray[np.uint16]
    """Shape (time,)."""
    is_action: NDArray[np.bool_]
    """Whether the agent wrote the token, shape (time,)."""


@dataclass(frozen=True, slots=True)
class Code:
    """One source file with the functions and mutations that may be drilled."""

    path: str
    text: str
    functions: tuple[SourceFunction, ...]


def encode_row(tokenizer: Any, messages: Sequence[Message]) -> Row:
    """Encode a conversation as the project's chat template does, message by message."""
    ids: list[int] = []
    actions: list[bool] = []
    for message in messages:
        role = tokenizer.convert_tokens_to_ids(f"<|{message.role}|>")
        content = tokenizer.encode(message.content, add_special_tokens=False)
        ids += [role, *content, tokenizer.eos_token_id]
        actions += [False, *[message.role == "assistant"] * (len(content) + 1)]
    return Row(np.asarray(ids, dtype=np.uint16), np.asarray(actions, dtype=np.bool_))


def library_code(names: Sequence[str]) -> Iterator[Code]:
    """Read modules of Python's standard library by their paths without ``.py``."""
    root = Path(sysconfig.get_path("stdlib"))
    for name in names:
        path = f"{name}.py"
        text = (root / path).read_text(encoding="utf-8")
        yield Code(path, text, find_mutations(path, text, max_lines=MAX_BODY_LINES))


def is_for_pretraining(package: str, function: str, mutation: Mutation) -> bool:
    """Tell whether the base model may see a mutation.

    It may see those of the ``train`` split, but for the share of spans that the arms of the
    comparison learn from: these must be new to the base too.
    """
    held_out = split_of(package, function, mutation) != "train"
    reserved = split_of(package, function, mutation, seed=1) == "test"
    return not (held_out or reserved)


def package_code(workspace: Workspace) -> Iterator[Code]:
    """Read a release's files without the functions and mutations that are held out."""
    package = workspace.source.name
    for path in workspace.package_paths():
        text = workspace.text(path)
        functions = []
        for function in find_mutations(path, text, max_lines=MAX_BODY_LINES):
            name = f"{path}::{function.name}"
            kept = [m for m in function.mutations if is_for_pretraining(package, name, m)]
            if kept:
                functions.append(replace(function, mutations=tuple(kept)))
        yield Code(path, text, tuple(functions))


@cache
def _span(code: Code, function: str) -> FunctionSpan | None:
    return find_function(code.text, function)


def repair_drill(
    code: Code, function: SourceFunction, bugs: int, generator: random.Random
) -> tuple[Message, ...] | None:
    """Show a function with several bugs on different lines and repair them one by one."""
    by_line: dict[int, list[Mutation]] = defaultdict(list)
    for mutation in function.mutations:
        by_line[mutation.line].append(mutation)
    lines = generator.sample(sorted(by_line), min(bugs, len(by_line)))
    chosen = [generator.choice(by_line[line]) for line in sorted(lines)]
    span = _span(code, function.name)
    if not chosen or span is None:
        return None
    text = code.text
    for mutation in chosen:
        text = apply_mutation(text, mutation)
    title = f"{code.path}::{function.name}"
    messages = [
        Message("user", f"{len(chosen)} bugs in {function.name}."),
        Message("assistant", ToolCall("view", {}).as_text()),
        Message("tool", f"{title}\n{show_function(text, span)}"),
    ]
    for mutation in chosen:
        style = generator.choices(("span", "wide span", "line"), (0.8, 0.1, 0.1))[0]
        line = text.split("\n")[mutation.line - 1]
        call = edit_call(line, mutation, style, generator)
        text = revert_mutation(text, mutation)
        repaired = text.split("\n")[mutation.line - 1]
        shown = f"edited {code.path}\n{mutation.line}|{repaired}"
        messages += [Message("assistant", call.as_text()), Message("tool", shown)]
    return tuple(messages[:-1])


def look_up_drill(generator: random.Random) -> tuple[Message, ...]:
    """Render a solved drill of the kind that ``pivot/Drill-v0`` sets, of any size up to 8."""
    family = generator.choice(("lookup", "reverse"))
    size = generator.randint(2, min(8, MAX_SIZE))
    # Seeds below 2**40 are never drawn here, so evaluation can have those for itself.
    task = DrillTask.from_id(f"{family}-{size}-{2**40 + generator.randrange(2**40)}")
    return (
        Message("user", task.question),
        Message("assistant", ToolCall("look", {}).as_text()),
        Message("tool", "\n".join(task.lines)),
        Message("assistant", ToolCall("answer", {"text": task.solution}).as_text()),
    )


def copying_drill(words: Sequence[str], generator: random.Random) -> tuple[Message, ...]:
    """Ask for a line of a numbered list, back to the letter; the period varies with its length."""
    first = generator.randint(1, 4000)
    lines = [
        " ".join(generator.choices(words, k=generator.randint(2, 7)))
        for _ in range(generator.randint(3, 12))
    ]
    chosen = generator.randrange(len(lines))
    return (
        Message("user", f"Copy line {first + chosen}."),
        Message("assistant", ToolCall("look", {}).as_text()),
        Message("tool", "\n".join(f"{first + i}|{line}" for i, line in enumerate(lines))),
        Message("assistant", ToolCall("answer", {"text": lines[chosen]}).as_text()),
    )


def rehearsed_episode(
    env: RehearsalEnv, task_id: str, seed: int, tasks: Mapping[str, CodingTask]
) -> tuple[Message, ...]:
    """Render the expert's episode on a task."""
    expert = CodingExpert(tasks.__getitem__, seed=seed)
    env.reset(options={"task_id": task_id})
    done = False
    while not done:
        context = Context(env.messages, env.tools, task_id)
        _, _, terminated, truncated, _ = env.step(expert.act([context])[0].text)
        done = terminated or truncated
    return env.messages[:-1]


def shows_unseen(package: str, messages: Iterable[Message]) -> bool:
    """Tell whether a view shows a function of the ``unseen`` split."""
    titles = (message.content.partition("\n")[0] for message in messages if message.role == "tool")
    return any("::" in title and is_unseen(package, title) for title in titles)


def python_text(code: Sequence[Code], generator: random.Random, lines: int = 24) -> str:
    """Cut a piece out of a file."""
    text = generator.choice(code).text.split("\n")
    start = generator.randrange(max(1, len(text) - lines))
    return "\n".join(text[start : start + lines])


def drill_words(code: Sequence[Code]) -> list[str]:
    """Return words that occur in the sources, for the copying drills."""
    words = {word for each in code for word in each.text.split() if 1 <= len(word) <= 14}
    return sorted(words)


def corpus_hash(rows: Iterable[Row]) -> str:
    """Return the SHA-256 of all token ids, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row.token_ids.tobytes())
    return digest.hexdigest()


def tool_call_pieces() -> tuple[str, ...]:
    """Return the fixed parts of tool calls that the tokenizer keeps whole."""
    empty = tuple(
        json.dumps({"name": name, "arguments": {}}) for name in ("view", "bash", "submit", "look")
    )
    opened = (
        '{"name": "edit", "arguments": {"line": ',
        '{"name": "edit", "arguments": {"start": ',
        '{"name": "view", "arguments": {"path": "',
        '{"name": "bash", "arguments": {"command": "',
        '{"name": "answer", "arguments": {"text": "',
    )
    return (*empty, *opened, ', "old": "', '", "new": "', ', "end": ', ', "text": "', '"}}')
