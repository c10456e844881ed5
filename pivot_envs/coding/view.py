"""How source code is shown to the agent: short line numbers, folded docstrings, found functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pivot_envs.errors import ActionError

_VIEW_LINES = 100

_DEFINITION = re.compile(r"^(\s*)(?:async\s+)?(def|class)\s+(\w+)")
_COMPOUND = re.compile(r"^(\s*)(?:if|elif|else|try|except|finally|for|while|with)\b.*:")
_DOCSTRING = re.compile(r"""^\s*[rRuUbB]{0,2}("{3}|'{3})""")


@dataclass(frozen=True, slots=True)
class FunctionSpan:
    """Where one function stands in its file; line numbers are 1-based and inclusive."""

    name: str
    """Qualified by its classes and outer functions, ``Statement.get_type``."""
    start: int
    """First line, the ``def``."""
    end: int
    docstring: tuple[int, int] | None
    """First and last line of a triple-quoted docstring of two lines or more."""


@lru_cache(maxsize=64)
def find_functions(source: str) -> tuple[FunctionSpan, ...]:
    """Find all functions by their indentation, so that a file with a syntax error works too."""
    lines = source.split("\n")
    spans: list[FunctionSpan] = []
    enclosing: list[tuple[int, str]] = []
    docstring_end = 0
    for number, line in enumerate(lines, start=1):
        match = _DEFINITION.match(line)
        block = match or _COMPOUND.match(line)
        if block is None or number <= docstring_end:
            continue
        indent = len(block[1])
        while enclosing and enclosing[-1][0] >= indent:
            enclosing.pop()
        if match is None:
            continue
        name = ".".join([*(outer for _, outer in enclosing), match[3]])
        enclosing.append((indent, match[3]))
        if match[2] == "def":
            body = _signature_end(lines, number) + 1
            end = _block_end(lines, body, indent)
            docstring = _docstring(lines, body, end)
            docstring_end = docstring[1] if docstring else 0
            spans.append(FunctionSpan(name, number, end, docstring))
    return tuple(spans)


def _signature_end(lines: list[str], start: int) -> int:
    depth = 0
    for number in range(start, len(lines) + 1):
        code = lines[number - 1].split("#")[0]
        depth += sum(code.count(c) for c in "([{") - sum(code.count(c) for c in ")]}")
        if depth <= 0 and (code.rstrip().endswith(":") or number == start):
            return number
        if number - start > 30:
            break
    return start


def _block_end(lines: list[str], body: int, indent: int) -> int:
    end = body - 1
    docstring = _docstring(lines, body, len(lines))
    first = docstring[1] + 1 if docstring else body
    for number in range(first, len(lines) + 1):
        line = lines[number - 1]
        if not line.strip():
            continue
        if len(line) - len(line.lstrip()) <= indent and not line.lstrip().startswith(
            (")", "]", "}")
        ):
            break
        end = number
    return max(end, docstring[1] if docstring else end)


def _docstring(lines: list[str], body: int, end: int) -> tuple[int, int] | None:
    if body > len(lines):
        return None
    match = _DOCSTRING.match(lines[body - 1])
    if match is None:
        return None
    rest = lines[body - 1][match.end() :]
    if match[1] in rest:
        return None
    for number in range(body + 1, end + 1):
        if match[1] in lines[number - 1]:
            return body, number
    return None


def find_function(source: str, name: str) -> FunctionSpan | None:
    """Return the function of that qualified name, or the first whose last name part it is."""
    spans = find_functions(source)
    exact = [span for span in spans if span.name == name]
    loose = [span for span in spans if span.name.rsplit(".", 1)[-1] == name]
    return next(iter(exact + loose), None)


def view_function(path: str, source: str, name: str) -> tuple[str, str]:
    """Return the title and the text by which the agent is shown a function.

    Raises:
        ActionError: The file defines no such function.
    """
    span = find_function(source, name)
    if span is None:
        raise ActionError(f"{path} defines no function {name!r}")
    return f"{path}::{span.name}", show_function(source, span)


def view_lines(path: str, source: str, arguments: Mapping[str, Any]) -> str:
    """Return the lines from ``start`` to ``end``, by default the first hundred from ``start``.

    Raises:
        ActionError: The file has no such lines.
    """
    start = max(1, arguments.get("start", 1))
    text = show_lines(source, start, arguments.get("end", start + _VIEW_LINES - 1))
    if not text:
        count = source.count("\n") + 1
        raise ActionError(f"{path} has {count} lines: nothing to show there")
    return text


def show_lines(source: str, start: int, end: int) -> str:
    """Return the lines from ``start`` to ``end``, each behind its number and a bar."""
    lines = source.split("\n")
    numbered = [
        f"{number}|{lines[number - 1]}" for number in range(start, min(end, len(lines)) + 1)
    ]
    return "\n".join(numbered)


def show_function(source: str, span: FunctionSpan) -> str:
    """Return the function's lines with its long docstring folded into a marker."""
    if span.docstring is None:
        return show_lines(source, span.start, span.end)
    first, last = span.docstring
    parts = [show_lines(source, span.start, first - 1), f"[docstring {first}-{last}]"]
    if last < span.end:
        parts.append(show_lines(source, last + 1, span.end))
    return "\n".join(parts)


def shown_lines(text: str) -> frozenset[int]:
    """Return the line numbers that a shown piece of source makes visible."""
    return frozenset(int(number) for number in re.findall(r"^(\d+)\|", text, flags=re.MULTILINE))
