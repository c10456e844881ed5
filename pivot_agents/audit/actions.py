"""Scripted actions of the audit: right ones in other words, and wrong ones that look right."""

import json
import random
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pivot_agents.audit.repair import Repair
from pivot_agents.expert import edit_call
from pivot_envs.tools import ToolCall
from wrappers import Pivot

_MAX_WRONG = 4


@dataclass(frozen=True, slots=True)
class Action:
    """One action to try in a state."""

    kind: str
    """Why it is tried, such as ``equivalent edit``; what it is worth is found out."""
    text: str


def scripted_actions(pivot: Pivot, repair: Repair, seed: int) -> list[Action]:
    """Return the actions to try in a state, each text once.

    Args:
        pivot: The state and what the demonstration did there.
        repair: The task's repair.
        seed: Seed of the forms that are drawn.
    """
    generator = random.Random(f"{seed} {pivot.pivot_id}")
    call = {"arguments": {}, **json.loads(pivot.demonstration)}
    found = [
        Action("demonstrated", pivot.demonstration),
        Action("same call, other text", json.dumps(call, indent=2)),
        *(_as_action("equivalent edit", each) for each in _right_edits(repair, generator)),
        *(_as_action("other reading", each) for each in _readings(repair)),
        *(_as_action("other edit", each) for each in _other_edits(repair, call, generator)),
        *(_as_action("looks elsewhere", each) for each in _elsewhere(repair)),
        _as_action("runs the tests", ToolCall("bash", {})),
        _as_action("submits", ToolCall("submit", {})),
        Action("no call", "I have repaired the bug and all tests pass now."),
        Action("no call", json.dumps([call, {"name": "submit", "arguments": {}}])),
        Action("unknown tool", json.dumps({"name": "finish", "arguments": {}})),
    ]
    return list({action.text: action for action in reversed(found)}.values())[::-1]


def _as_action(kind: str, call: ToolCall) -> Action:
    return Action(kind, call.as_text())


def _right_edits(repair: Repair, generator: random.Random) -> Iterator[ToolCall]:
    yield repair.edit(repair.right)
    yield repair.edit(repair.right, names_path=False)
    for style in ("span", "wide span", "line"):
        yield edit_call(repair.buggy, repair.mutation, style, generator)
    script = f"{repair.number}c\\{repair.right}"
    yield ToolCall("bash", {"command": f"sed -i {shlex.quote(script)} {repair.path}"})


def _other_edits(
    repair: Repair, demonstrated: Mapping[str, Any], generator: random.Random
) -> Iterator[ToolCall]:
    """Yield edits that look right, in the demonstration's form where it is an edit too."""
    count = min(_MAX_WRONG, len(repair.wrong))
    for wrong in generator.sample(repair.wrong, count):
        yield repair.edit(wrong, names_path=False)
        new = _new_text(repair.buggy, wrong, str(demonstrated["arguments"].get("old", "")))
        if new is not None:
            yield ToolCall("edit", {**demonstrated["arguments"], "new": new})
    yield repair.edit(repair.buggy)
    yield repair.edit(repair.right + "  # fixed")
    yield repair.edit(f"{repair.right[: len(repair.right) - len(repair.right.lstrip())]}pass")
    neighbour = repair.number + 1
    yield ToolCall("edit", {"start": neighbour, "end": neighbour, "text": repair.right})
    mutated = repair.mutation.mutated
    if mutated.strip():
        yield ToolCall("edit", {"line": repair.number, "old": mutated, "new": mutated})


def _new_text(line: str, changed: str, old: str) -> str | None:
    """Return what in place of ``old`` turns one line into the other, if anything does."""
    if not old or old not in line:
        return None
    before, _, after = line.partition(old)
    fits = changed.startswith(before) and changed.endswith(after)
    if not fits or len(changed) < len(before) + len(after):
        return None
    return changed[len(before) : len(changed) - len(after)]


def _readings(repair: Repair) -> Iterator[ToolCall]:
    start, end = max(1, repair.number - 5), repair.number + 5
    yield ToolCall("view", {})
    yield repair.view()
    yield ToolCall("view", {"path": repair.path, "start": start, "end": end})
    yield ToolCall("view", {"path": repair.path, "start": repair.first, "end": repair.last})
    yield ToolCall("bash", {"command": f"sed -n {start},{end}p {repair.path}"})
    yield ToolCall("bash", {"command": f"sed -n {repair.first},{repair.last}p {repair.path}"})


def _elsewhere(repair: Repair) -> Iterator[ToolCall]:
    far = repair.last + 40
    yield ToolCall("view", {"path": repair.path, "start": far, "end": far + 10})
    yield ToolCall("view", {"path": repair.path, "start": 1, "end": 10})
    yield ToolCall("bash", {"command": "ls"})
    name = repair.function.rpartition("::")[2].rpartition(".")[2]
    yield ToolCall("bash", {"command": f"grep -n 'def {name}' {repair.path}"})
