"""Editing a text by line span or by line range, with errors that tell the agent what is there."""

import ast
import threading
from collections.abc import Mapping
from typing import Any

from pivot_envs.errors import ActionError

# Python 3.11 counts the depth of trees for all threads together, and may take one thread's for a
# fault of another (github.com/python/cpython/issues/106905).
_PARSER = threading.Lock()
_SPAN = {"line", "old", "new"}
_RANGE = {"start", "end", "text"}


def edit_text(source: str, arguments: Mapping[str, Any]) -> tuple[str, int, int]:
    """Apply the ``edit`` tool's arguments to a text.

    Returns:
        The new text, and the first and last line that it changed (last < first if lines were
        only removed).

    Raises:
        ActionError: The arguments are incomplete, out of range, or ``old`` does not occur once.
    """
    given = set(arguments) - {"path"}
    if given == _SPAN:
        return _replace_span(source, arguments["line"], arguments["old"], arguments["new"])
    if given == _RANGE:
        return _replace_range(source, arguments["start"], arguments["end"], arguments["text"])
    raise ActionError(
        "edit needs either line, old and new, or start, end and text; "
        f"it got {', '.join(sorted(given)) or 'nothing'}"
    )


def _replace_span(source: str, number: int, old: str, new: str) -> tuple[str, int, int]:
    lines = source.split("\n")
    if not 1 <= number <= len(lines):
        raise ActionError(f"line {number} does not exist; the file has {len(lines)} lines")
    line = lines[number - 1]
    if not old or line.count(old) != 1:
        raise ActionError(f"old must occur once on line {number}, which reads: {line}")
    lines[number - 1] = line.replace(old, new)
    return "\n".join(lines), number, number + new.count("\n")


def _replace_range(source: str, start: int, end: int, text: str) -> tuple[str, int, int]:
    lines = source.split("\n")
    if not (1 <= start <= len(lines) + 1 and start - 1 <= end <= len(lines)):
        raise ActionError(f"lines {start}-{end} are out of range; the file has {len(lines)} lines")
    new_lines = text.removesuffix("\n").split("\n") if text else []
    lines[start - 1 : end] = new_lines
    return "\n".join(lines), start, start + len(new_lines) - 1


def syntax_error(source: str) -> str | None:
    """Return what Python's parser objects to, or ``None``."""
    try:
        with _PARSER:
            ast.parse(source)
    except SyntaxError as error:
        return f"SyntaxError: {error.msg} (line {error.lineno})"
    except ValueError as error:
        return f"SyntaxError: {error}"
    return None
