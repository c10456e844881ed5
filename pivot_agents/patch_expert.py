"""Turns a known patch into a developer's calls: reproduce, locate, read, edit, test, submit."""

import difflib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pivot_envs import ToolCall
from pivot_envs.coding.diff import FileDiff, Hunk, parse_diff

_DEFINITION = re.compile(r"^\s*(?:async\s+)?(?:def|class)\s+(\w+)")
_END = "PIVOT_END_OF_FILE"
_CONTEXT = 12
"""Lines read around a place, at most."""


@dataclass(frozen=True, slots=True)
class _Edit:
    """Lines to replace in one file, by the numbers that hold before any edit of the file."""

    start: int
    end: int
    """Last line to replace; ``start - 1`` inserts before ``start``."""
    text: str

    @property
    def growth(self) -> int:
        """How many lines the file grows by."""
        return self.text.count("\n") - (self.end - self.start + 1)


def plan_calls(diff: str, generator: random.Random) -> tuple[ToolCall, ...]:
    """Return the calls that apply a patch, with the detours of someone who does not know it yet.

    Args:
        diff: Unified diff from what the agent gets to the solution.
        generator: Draws the detours, the order of the files and how much is read.

    Raises:
        TaskError: The diff is damaged.
    """
    calls: list[ToolCall] = []
    if generator.random() < 0.7:
        calls.append(ToolCall("bash", {}))
    if generator.random() < 0.3:
        calls.append(_bash("ls"))
    files = list(parse_diff(diff))
    if generator.random() < 0.5:
        files.reverse()
    for file in files:
        calls += _file_calls(file, generator)
        if len(files) > 1 and generator.random() < 0.2:
            calls.append(ToolCall("bash", {}))
    if generator.random() < 0.85:
        calls.append(ToolCall("bash", {}))
    calls.append(ToolCall("submit", {}))
    return tuple(calls)


def _file_calls(file: FileDiff, generator: random.Random) -> Iterator[ToolCall]:
    if file.old_path is not None and file.path is None:
        yield _bash(f"rm {file.old_path}")
        return
    path = file.path or ""
    if file.old_path is None:
        yield _new_file(path, "".join(line for hunk in file.hunks for line in hunk.after))
        return
    if file.old_path != path:
        folder = path.rpartition("/")[0] or "."
        yield _bash(f"mkdir -p {folder} && mv {file.old_path} {path}")
    name = _name(file.hunks)
    if name and generator.random() < 0.5:
        yield _bash(f"grep -n '{name}' {path}")
    shift = 0
    for hunk in file.hunks:
        yield _read(path, hunk, shift, generator)
        for edit in _edits(hunk):
            place = {"start": edit.start + shift, "end": edit.end + shift, "text": edit.text}
            yield ToolCall("edit", {"path": path, **place})
            shift += edit.growth


def _read(path: str, hunk: Hunk, shift: int, generator: random.Random) -> ToolCall:
    before, after = (generator.randint(2, _CONTEXT) for _ in range(2))
    start = max(1, hunk.start + shift - before)
    end = hunk.start + shift + len(hunk.before) + after
    return ToolCall("view", {"path": path, "start": start, "end": end})


def _edits(hunk: Hunk) -> Iterator[_Edit]:
    """Yield the changed runs of lines of a hunk, without its context."""
    before, after = _elements(hunk)
    # A region without lines before it stands after the line that it names.
    first = hunk.start if hunk.before else hunk.start + 1
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        if kind != "equal":
            text = "".join(f"{line}\n" for line in after[new_start:new_end])
            yield _Edit(first + start, first + end - 1, text)


def _elements(hunk: Hunk) -> tuple[list[str], list[str]]:
    """Return the lines before and after as the ``edit`` tool counts them.

    It takes what follows the last newline for a line, too: that matters where a change is to the
    newline at the end of a file, or to an empty file.
    """
    sides = hunk.before, hunk.after
    # Without any line of context, the file is empty on one side.
    ends_differ = len({"".join(side)[-1:] == "\n" for side in sides}) > 1 or not all(sides)
    before, after = (
        "".join(side).split("\n") if ends_differ else [line.removesuffix("\n") for line in side]
        for side in sides
    )
    return before, after


def _name(hunks: Sequence[Hunk]) -> str:
    """Return the name of a function or class that the hunks show, empty if they show none."""
    for hunk in hunks:
        for line in hunk.before:
            if match := _DEFINITION.match(line):
                return match[1]
    return ""


def _new_file(path: str, text: str) -> ToolCall:
    folder = path.rpartition("/")[0]
    make = f"mkdir -p {folder} && " if folder else ""
    # A here-document ends in a newline; the file may not.
    if not text.endswith("\n") and text:
        return _bash(f"{make}head -c -1 > {path} <<'{_END}'\n{text}\n{_END}")
    return _bash(f"{make}cat > {path} <<'{_END}'\n{text}{_END}")


def _bash(command: str) -> ToolCall:
    return ToolCall("bash", {"command": command})
