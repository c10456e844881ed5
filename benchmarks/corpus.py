"""The corpus of the base model: its sources, what of them is held out, and encoded rows.

Held-out tasks stay out of it: mutations of the ``test`` split are left out of the drills, and
functions of the ``unseen`` split are neither drilled nor viewed. Tracebacks in test output may
quote single lines of them.
"""

import hashlib
import json
import random
import sysconfig
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pivot_envs import Message
from pivot_envs.coding.gold import Mutation, apply_mutation
from pivot_envs.coding.tasks.mutations import SourceFunction
from pivot_envs.coding.tasks.mutations import find_functions as find_mutations
from pivot_envs.coding.tasks.splits import is_unseen, split_of
from pivot_envs.coding.workspace import Workspace

OBSERVATION_SHARE = 0.25
"""Share of the tokens that the environment wrote that count in the loss."""
OBSERVATION_WEIGHT = 0.5
"""Weight in the loss of such a token; the agent's tokens weigh 1 and count always."""
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
    held_out: frozenset[tuple[int, str]] = frozenset()
    """Line numbers, and how the line reads with a mutation that is held out."""


def encode_row(tokenizer: Any, messages: Sequence[Message], wrong: Collection[int] = ()) -> Row:
    """Encode a conversation as the project's chat template does, message by message.

    Messages whose indices are ``wrong`` count as the environment's.
    """
    ids: list[int] = []
    actions: list[bool] = []
    for index, message in enumerate(messages):
        role = tokenizer.convert_tokens_to_ids(f"<|{message.role}|>")
        content = tokenizer.encode(message.content, add_special_tokens=False)
        ids += [role, *content, tokenizer.eos_token_id]
        is_action = message.role == "assistant" and index not in wrong
        actions += [False, *[is_action] * (len(content) + 1)]
    return Row(np.asarray(ids, dtype=np.uint16), np.asarray(actions, dtype=np.bool_))


def library_texts(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Read modules of Python's standard library, named without ``.py``; yield path and text."""
    root = Path(sysconfig.get_path("stdlib"))
    for name in names:
        path = f"{name}.py"
        yield path, (root / path).read_text(encoding="utf-8")


def library_code(names: Sequence[str]) -> Iterator[Code]:
    """Read modules of the standard library with the functions and mutations in them."""
    for path, text in library_texts(names):
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
    package = workspace.name
    for path in workspace.package_paths():
        text = workspace.text(path)
        functions = []
        held_out: set[tuple[int, str]] = set()
        for function in find_mutations(path, text, max_lines=MAX_BODY_LINES):
            name = f"{path}::{function.name}"
            kept = [m for m in function.mutations if is_for_pretraining(package, name, m)]
            lost = set(function.mutations) - set(kept)
            held_out.update((m.line, _mutated_line(text, m)) for m in lost)
            if kept:
                functions.append(replace(function, mutations=tuple(kept)))
        yield Code(path, text, tuple(functions), frozenset(held_out))


def _mutated_line(text: str, mutation: Mutation) -> str:
    return apply_mutation(text, mutation).split("\n")[mutation.line - 1]


def shows_unseen(package: str, messages: Iterable[Message]) -> bool:
    """Tell whether a view shows a function of the ``unseen`` split."""
    titles = (message.content.partition("\n")[0] for message in messages if message.role == "tool")
    return any("::" in title and is_unseen(package, title) for title in titles)


def python_text(code: Sequence[Code], generator: random.Random, lines: int = 24) -> str:
    """Cut a piece out of a file."""
    text = generator.choice(code).text.split("\n")
    start = generator.randrange(max(1, len(text) - lines))
    return "\n".join(text[start : start + lines])


def corpus_hash(rows: Iterable[Row]) -> str:
    """Return the SHA-256 of all token ids, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row.token_ids.tobytes())
    return digest.hexdigest()


def save_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as one file, whole or not at all."""
    kept = list(rows)
    partial = path.with_name(f"{path.stem}.partial.npz")
    np.savez(
        partial,
        ids=np.concatenate([row.token_ids for row in kept]),
        actions=np.concatenate([row.is_action for row in kept]),
        lengths=np.asarray([len(row.token_ids) for row in kept]),
    )
    partial.replace(path)


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


def web_pieces() -> tuple[str, ...]:
    """Return fixed parts of pages and of calls on them that the tokenizer keeps whole."""
    firsts = {
        "click": '"ref": ',
        "fill": '"ref": ',
        "select": '"ref": ',
        "drag": '"from_ref": ',
        "press": '"key": "',
        "scroll": '"dy": ',
    }
    roles = ("button", "checkbox", "radio", "textbox", "combobox", "link", "span", "div", "tab")
    calls = (f'{{"name": "{name}", "arguments": {{{first}' for name, first in firsts.items())
    return (*calls, ', "option": "', *(f"] {role}" for role in roles))
