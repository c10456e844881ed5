"""Unified diffs of text files: written, read and applied without any version control."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pivot_envs.errors import TaskError

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_NO_NEWLINE = "\\ No newline at end of file"
_NOTHING = "/dev/null"


@dataclass(frozen=True, slots=True)
class Hunk:
    """One changed region of a file; each line ends in a newline unless the file ends without."""

    start: int
    """1-based number of the region's first line before the change; 0 for a new file."""
    before: tuple[str, ...]
    """Lines that the region has before."""
    after: tuple[str, ...]
    """Lines that it has afterwards."""
    added: tuple[str, ...]
    """Those lines of ``after`` that the diff adds."""
    removed: tuple[str, ...]
    """Those lines of ``before`` that the diff removes."""


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What a diff does to one file."""

    old_path: str | None
    """Path before, None for a new file."""
    path: str | None
    """Path afterwards, None for a removed file."""
    hunks: tuple[Hunk, ...]


def write_diff(path: str, old: str | None, new: str | None) -> str:
    """Return the unified diff of one file, as git writes it; empty if nothing changes.

    Args:
        path: The file, relative to the workspace.
        old: Its text, None if it is new.
        new: Its new text, None if it goes.
    """
    if old == new:
        return ""
    head = [f"diff --git a/{path} b/{path}\n"]
    if old is None:
        head.append("new file mode 100644\n")
    if new is None:
        head.append("deleted file mode 100644\n")
    names = (f"a/{path}" if old is not None else _NOTHING, f"b/{path}" if new else _NOTHING)
    if new == "":
        names = (names[0], f"b/{path}")
    lines = difflib.unified_diff(_lines(old or ""), _lines(new or ""), *names, n=3)
    body = [line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}\n" for line in lines]
    return "".join(head + body)


def parse_diff(text: str) -> tuple[FileDiff, ...]:
    """Read a unified diff.

    Raises:
        TaskError: It is damaged, or changes a binary file.
    """
    files: list[FileDiff] = []
    for block in _blocks(text):
        files.append(_parse_file(block))
    if text.strip() and not files:
        raise TaskError(f"no unified diff: it begins with {text.strip().splitlines()[0]!r:.80}")
    return tuple(files)


def added_lines(text: str) -> frozenset[str]:
    """Return the lines that a unified diff adds, without the space around them.

    Raises:
        TaskError: It is damaged, or changes a binary file.
    """
    hunks = (hunk for file in parse_diff(text) for hunk in file.hunks)
    return frozenset(line.strip() for hunk in hunks for line in hunk.added)


def apply_diff(text: str, read: Callable[[str], str | None]) -> Mapping[str, str | None]:
    """Apply a unified diff; every line of context must stand where the diff says.

    Args:
        text: The diff.
        read: Returns a file's text, None if there is no such file.

    Returns:
        New texts by path; None for files that go.

    Raises:
        TaskError: The diff is damaged or does not fit the files.
    """
    changes: dict[str, str | None] = {}
    for file in parse_diff(text):
        if file.old_path is not None:
            old = read(file.old_path)
            if old is None:
                raise TaskError(f"the diff changes {file.old_path!r}, which is not there")
        else:
            old = ""
        if file.old_path is not None and file.old_path != file.path:
            changes[file.old_path] = None
        if file.path is not None:
            changes[file.path] = _apply(file, old)
    return changes


def _apply(file: FileDiff, text: str) -> str:
    lines = _lines(text)
    parts: list[str] = []
    done = 0
    for hunk in file.hunks:
        # A region without lines before it stands after the line that it names.
        start = hunk.start - 1 if hunk.before else hunk.start
        end = start + len(hunk.before)
        if start < done or tuple(lines[start:end]) != hunk.before:
            found = lines[start] if start < len(lines) else "the end of the file"
            raise TaskError(
                f"the diff does not fit {file.old_path}:{hunk.start}: it expects "
                f"{''.join(hunk.before[:1])!r:.80}, the file has {found!r:.80}"
            )
        parts += [*lines[done:start], *hunk.after]
        done = end
    return "".join([*parts, *lines[done:]])


def _lines(text: str) -> list[str]:
    """Split at newlines only: a form feed or a carriage return ends no line."""
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _blocks(text: str) -> Iterator[list[str]]:
    """Yield the lines of each file's part."""
    block: list[str] = []
    left = (0, 0)
    for line in text.removesuffix("\n").split("\n"):
        if left == (0, 0) and not line.startswith("\\"):
            has_names = any(each.startswith("+++ ") for each in block)
            if line.startswith("diff --git ") or (line.startswith("--- ") and has_names):
                if block:
                    yield block
                block = []
            if match := _HUNK.match(line):
                left = _count(match[2]), _count(match[4])
        elif not line.startswith("\\"):
            old, new = left
            left = (old - (line[:1] != "+"), new - (line[:1] != "-"))
        block.append(line)
    if any(line.startswith(("diff --git ", "--- ")) for line in block):
        yield block


def _count(text: str | None) -> int:
    return 1 if text is None else int(text)


def _parse_file(block: list[str]) -> FileDiff:
    if any(line.startswith(("GIT binary patch", "Binary files ")) for line in block):
        raise TaskError(f"the diff changes a binary file: {block[0]!r:.100}")
    starts = [index for index, line in enumerate(block) if _HUNK.match(line)]
    head = block[: starts[0]] if starts else block
    old_path, path = _paths(head)
    hunks = [
        _parse_hunk(block[start:end], path or old_path)
        for start, end in zip(starts, [*starts, len(block)][1:], strict=True)
    ]
    return FileDiff(old_path, path, tuple(hunks))


def _paths(head: list[str]) -> tuple[str | None, str | None]:
    known = {}
    for line in head:
        for mark in ("--- ", "+++ ", "rename from ", "rename to "):
            if line.startswith(mark):
                known[mark] = line.removeprefix(mark).split("\t")[0]
    old = known.get("--- ") or known.get("rename from ")
    new = known.get("+++ ") or known.get("rename to ")
    if old is None or new is None:
        match = re.match(r"^diff --git a/(.+) b/(.+)$", head[0])
        if match is None:
            raise TaskError(f"the diff names no file near {head[0]!r:.100}")
        is_new = any(line.startswith("new file") for line in head)
        is_gone = any(line.startswith("deleted file") for line in head)
        return (None if is_new else match[1]), (None if is_gone else match[2])
    return _plain(old, "a/"), _plain(new, "b/")


def _plain(path: str, prefix: str) -> str | None:
    return None if path == _NOTHING else path.removeprefix(prefix)


def _parse_hunk(lines: list[str], path: str | None) -> Hunk:
    match = _HUNK.match(lines[0])
    assert match is not None
    marked: list[tuple[str, str]] = []
    left = [_count(match[2]), _count(match[4])]
    for line in lines[1:]:
        if line == _NO_NEWLINE and marked:
            mark, text = marked[-1]
            marked[-1] = (mark, text.removesuffix("\n"))
        elif left != [0, 0]:
            mark = line[:1] or " "
            if mark not in " +-":
                raise TaskError(f"the diff of {path} is damaged at {line!r:.100}")
            marked.append((mark, f"{line[1:]}\n"))
            left[0] -= mark != "+"
            left[1] -= mark != "-"
    if left != [0, 0]:
        raise TaskError(f"the diff of {path} ends inside the region {lines[0]!r:.60}")
    return Hunk(
        start=int(match[1]),
        before=tuple(text for mark, text in marked if mark != "+"),
        after=tuple(text for mark, text in marked if mark != "-"),
        added=tuple(text for mark, text in marked if mark == "+"),
        removed=tuple(text for mark, text in marked if mark == "-"),
    )
