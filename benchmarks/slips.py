"""Slips: a word or sign, a result or two arguments changed anywhere in a function, for drills.

The tasks' mutations change few places of a function, and those of the held-out splits are never
drilled: a model that sees no others learns which places are never wrong. Slips can be anywhere.
"""

import keyword
import random
import re
from collections.abc import Sequence

from benchmarks.corpus import Code
from pivot_envs.coding.gold import Mutation
from pivot_envs.coding.tasks.mutations import SourceFunction
from pivot_envs.coding.view import FunctionSpan

_PIECE = re.compile(
    r"(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|(?P<comment>\#.*)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<number>\d+)|(?P<sign>\*\*|//|==|!=|<=|>=|<<|>>|[-+*/%]=|[-+*/%<>=&|^:,.])"
)
_SIGNS = ("+", "-", "*", "//", "/", "%", "**", "<", "<=", ">", ">=", "==", "!=", "&", "|")
_WORDS = (
    ("and", "or"),
    ("True", "False", "None"),
    ("is", "is not", "==", "!="),
    ("in", "not in"),
    ("return", "yield"),
    ("break", "continue"),
    ("if", "if not"),
    ("while", "while not"),
    ("not", ""),
)
_RESULT = re.compile(r"^\s*(?:return|yield) (?P<result>[^#\n]*[^\s#:(\[{,])$")
_ARGUMENTS = re.compile(
    r"(?<=[(\s])(?P<first>(?!self\b|cls\b)[*\w.]+), (?P<second>[*\w.]+)(?=[,)])"
)
_CONDITION = re.compile(r"\b(?:if|and|or|while|return) (?P<name>(?!not\b)[\w.]+)")
_WHOLE = 0.3
"""Share of slips of more than one word, on lines where there can be one."""
_PAIRED = frozenset(word for group in _WORDS for word in group)
_FIXED = frozenset(keyword.kwlist) - _PAIRED | {"self", "cls"}
"""Words that stay as they are."""


def draw_slips(
    code: Code, function: SourceFunction, span: FunctionSpan, count: int, generator: random.Random
) -> list[Mutation]:
    """Draw slips on different lines of a function, in order; fewer where it has fewer lines.

    None of them makes a line that a held-out mutation makes.
    """
    lines = code.text.split("\n")
    folded = span.docstring or (0, -1)
    numbers = [
        number
        for number in range(span.start, span.end + 1)
        if not folded[0] <= number <= folded[1] and lines[number - 1].strip()
    ]
    names = sorted({name for number in numbers for name in _names(lines[number - 1])})
    generator.shuffle(numbers)
    slips: list[Mutation] = []
    for number in numbers:
        if len(slips) == count:
            break
        slip = _slip(function.path, number, lines[number - 1], names, generator)
        if slip is not None and (number, _slipped(lines[number - 1], slip)) not in code.held_out:
            slips.append(slip)
    return sorted(slips, key=lambda slip: slip.line)


def _slipped(line: str, slip: Mutation) -> str:
    return line[: slip.column] + slip.mutated + line[slip.column + len(slip.original) :]


def _names(line: str) -> list[str]:
    words = (match["word"] for match in _PIECE.finditer(line))
    return [word for word in words if word and word not in _FIXED and not _partners(word)]


def _slip(
    path: str, number: int, line: str, names: Sequence[str], generator: random.Random
) -> Mutation | None:
    if generator.random() < _WHOLE:
        whole = _whole_slip(path, number, line, generator)
        if whole is not None:
            return whole
    pieces = [match for match in _PIECE.finditer(line) if match["word"] not in _FIXED]
    pieces = [match for match in pieces if match.lastgroup not in ("text", "comment")]
    if not pieces:
        return None
    match = generator.choice(pieces)
    others = _replacements(match, names, generator)
    if not others:
        return None
    mutated = generator.choice(others)
    end = match.end()
    if not mutated and line[end : end + 1] == " ":
        end += 1
    original = line[match.start() : end]
    return Mutation(path, number, original, mutated, match.start(), "slip")


def _whole_slip(path: str, number: int, line: str, generator: random.Random) -> Mutation | None:
    """Return a slip of more than one word: a lost result, exchanged arguments, a ``not`` more."""
    found = [(match["result"], "None", match.start("result")) for match in _RESULT.finditer(line)]
    code = re.split(r"['\"#]", line)[0]
    for match in _ARGUMENTS.finditer(code):
        exchanged = f"{match['second']}, {match['first']}"
        found.append((match["first"] + ", " + match["second"], exchanged, match.start("first")))
    for match in _CONDITION.finditer(code):
        found.append((match["name"], f"not {match['name']}", match.start("name")))
    found = [(old, new, column) for old, new, column in found if old != new]
    if not found:
        return None
    original, mutated, column = generator.choice(found)
    return Mutation(path, number, original, mutated, column, "slip")


def _replacements(
    match: re.Match[str], names: Sequence[str], generator: random.Random
) -> Sequence[str]:
    text = match[0]
    if match["number"]:
        return [str(other) for other in (int(text) + 1, int(text) - 1) if other >= 0]
    if match["sign"]:
        return [sign for sign in _SIGNS if sign != text] if text in _SIGNS else ()
    partners = _partners(text)
    if partners:
        return partners
    others = [name for name in names if name != text]
    # Half of the wrong names look like the right one.
    alike = [name for name in others if name[:2] == text[:2] or name[-3:] == text[-3:]]
    return alike if alike and generator.random() < 0.5 else others


def _partners(word: str) -> list[str]:
    return [other for group in _WORDS if word in group for other in group if other != word]
