"""Baselines that keep everyone honest: doing nothing, random edits, acting without the listing."""

import json
import random
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from pivot_agents.policy import Completion, Context, Policy, ScriptedPolicy
from pivot_envs import Message, ToolCall
from pivot_envs.coding.gold import Mutation
from pivot_envs.coding.tasks.mutations import find_functions
from pivot_envs.errors import SourceError

WITHHELD = "[withheld]"
_NUMBERED = re.compile(r"^(\d+)\|(.*)$", flags=re.MULTILINE)
_QUOTED_LINE = re.compile(r"(which reads: ).*")


def do_nothing() -> Policy:
    """Return the policy that submits at once."""
    submit = ToolCall("submit", {}).as_text()
    return ScriptedPolicy(lambda _: submit)


class WithoutListing:
    """Another policy that sees line numbers but no source line of a view or an edit.

    What it still achieves was not achieved by reading the code.
    """

    def __init__(self, policy: Policy) -> None:
        """Wrap a policy."""
        self._policy = policy

    def act(self, contexts: Sequence[Context]) -> Sequence[Completion]:
        """Answer each context as the policy does when the listing is withheld."""
        return self._policy.act([_withhold(context) for context in contexts])


def _withhold(context: Context) -> Context:
    messages = tuple(
        replace(message, content=withheld(message.content)) if message.role == "tool" else message
        for message in context.messages
    )
    # Token ids of earlier turns would bring the listing back.
    return replace(context, messages=messages, prefix_ids=(), prefix_messages=0)


def withheld(observation: str) -> str:
    """Replace every numbered source line of an observation, and the line that an error quotes."""
    hidden = _NUMBERED.sub(rf"\1|{WITHHELD}", observation)
    return _QUOTED_LINE.sub(rf"\1{WITHHELD}", hidden)


class RandomEditor:
    """Views what the tests point to, then tries random mutations of it until the tests pass.

    It knows the operators that bugs are made with and nothing else. A try is an edit and a run of
    the tests; the next edit undoes the last one on its way, so that an episode has as many tries
    as its turns allow, and the last turn is one more try.
    """

    def __init__(self, *, seed: int = 0) -> None:
        """Create the baseline.

        Args:
            seed: Seed of all its draws.
        """
        self._random = random.Random(seed)

    def act(self, contexts: Sequence[Context]) -> Sequence[Completion]:
        """Answer each context with the next step."""
        return [Completion(self._next_call(context.messages).as_text()) for context in contexts]

    def _next_call(self, messages: Sequence[Message]) -> ToolCall:
        turns = list(pairwise(messages[1:]))[::2]
        calls = [json.loads(action.content) for action, _ in turns]
        lines = next((found for _, seen in turns if (found := listing(seen.content))), None)
        if lines is None:
            return self._look(len(calls))
        written = _written(calls)
        changed = [number for number, text in written[-1].items() if text != lines[number]]
        if calls[-1]["name"] == "bash" and messages[-1].content.endswith("[exit code 0]"):
            return ToolCall("submit", {})
        if calls[-1]["name"] == "edit" and changed:
            return ToolCall("bash", {})
        edits = [
            edit
            for edit in proposals(lines)
            if all(one.get(edit.line) != edit.text for one in written)
        ]
        if not edits:
            return ToolCall("submit", {})
        return self._edit(lines, self._random.choice(edits), changed)

    def _look(self, turns: int) -> ToolCall:
        """View; where no place is pointed to, run the tests and view again."""
        if turns > 2:
            return ToolCall("submit", {})
        return ToolCall("bash" if turns == 1 else "view", {})

    def _edit(self, lines: Mapping[int, str], edit: "LineEdit", changed: Sequence[int]) -> ToolCall:
        """Edit a line and undo ``changed`` with it, or undo alone if hidden lines are between."""
        after = {**lines, edit.line: edit.text}
        first, last = min([edit.line, *changed]), max([edit.line, *changed])
        if not all(number in lines for number in range(first, last + 1)):
            first, last, after = min(changed), max(changed), dict(lines)
        text = "\n".join(after[number] for number in range(first, last + 1))
        return ToolCall("edit", {"start": first, "end": last, "text": text})


def _written(calls: Sequence[Mapping[str, Any]]) -> list[dict[int, str]]:
    """Return what each edit wrote by line; where there was none, one that wrote nothing."""
    edits = [call["arguments"] for call in calls if call["name"] == "edit"]
    return [dict(enumerate(edit["text"].split("\n"), start=edit["start"])) for edit in edits] or [
        {}
    ]


@dataclass(frozen=True, slots=True)
class LineEdit:
    """One line of a file and what it shall read."""

    line: int
    """1-based."""
    text: str


def listing(observation: str) -> dict[int, str]:
    """Return the lines that a view shows, by number; those that clipping cut are left out."""
    head, cut, tail = observation.partition("\n[... ")
    if cut:
        # The first line of the tail lost its beginning, the last of the head its end.
        tail = tail.partition("]\n")[2].partition("\n")[2]
        head = head.rpartition("\n")[0]
    title = head.partition("\n")[0]
    if ".py" not in title or title.startswith("edited "):
        return {}
    return {int(number): text for number, text in _NUMBERED.findall(f"{head}\n{tail}")}


def proposals(lines: Mapping[int, str]) -> list[LineEdit]:
    """Return every mutation of the shown lines that leaves valid syntax."""
    numbers = sorted(lines)
    edits = _edits(lines, numbers, 0, 0)
    if edits is not None:
        return edits
    found: list[LineEdit] = []
    for part in _runs(numbers):
        # A piece of a function parses once what was cut in half is dropped from its ends.
        tries = (_edits(lines, part, *cut) for cut in _cuts(len(part)))
        found += next((edits for edits in tries if edits is not None), [])
    return found


def _edits(
    lines: Mapping[int, str], numbers: Sequence[int], drop_first: int, drop_last: int
) -> list[LineEdit] | None:
    """Return the mutations of some lines, as a function or inside of one; None if neither."""
    kept = numbers[drop_first : len(numbers) - drop_last]
    shown = [lines[number] for number in kept]
    indent = min((len(line) - len(line.lstrip()) for line in shown if line.strip()), default=0)
    text = textwrap.dedent("\n".join(shown))
    for body, added in ((text, 0), ("def shown():\n" + textwrap.indent(text, " "), 1)):
        try:
            functions = find_functions("shown.py", body, max_lines=10_000)
        except SourceError:
            continue
        if functions:
            mutations = [each for function in functions for each in function.mutations]
            return [
                _line_edit(lines, kept[each.line - 1 - added], each, indent - added)
                for each in mutations
                if each.line > added
            ]
    return None


def _line_edit(lines: Mapping[int, str], number: int, mutation: Mutation, indent: int) -> LineEdit:
    start = mutation.column + indent
    end = start + len(mutation.original)
    line = lines[number]
    return LineEdit(number, line[:start] + mutation.mutated + line[end:])


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Split line numbers where some are missing."""
    runs: list[list[int]] = []
    for number in numbers:
        if not runs or number > runs[-1][-1] + 1:
            runs.append([])
        runs[-1].append(number)
    return runs


def _cuts(count: int) -> list[tuple[int, int]]:
    """Return how many lines to drop at one end or the other, the fewest first."""
    return [cut for size in range(count) for cut in {(0, size): 0, (size, 0): 0}]
