"""PageText, an observation of a page as an agent reads it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pivot_envs import ToolCall

_ELEMENT = re.compile(r'\[(\d+)\] (\S+)((?: "(?:[^"\\]|\\.)*"| [^\[]\S*(?:="(?:[^"\\]|\\.)*")?)*)')
_NAME = re.compile(r' "((?:[^"\\]|\\.)*)"')
_VALUE = re.compile(r'value="((?:[^"\\]|\\.)*)"')
_PLACE = re.compile(r"at (-?\d+),(-?\d+) size (\d+)x(\d+)")
_SHAPE = re.compile(
    r'(circle|rect|polygon|text|line|path|polyline|ellipse|drawing)\b(?: "([^"]*)")?(?: [#.]\S+)?'
    r"(?: fill=(\S+))? at (-?\d+),(-?\d+) size (\d+)x(\d+)"
)


@dataclass(frozen=True, slots=True)
class Element:
    """Something on the page that can be used."""

    ref: int
    role: str
    name: str
    value: str
    words: str
    """All that is said about it: states, handle, colour, place."""
    line: int
    """Number of its line on the page, from 0."""

    def has(self, word: str) -> bool:
        """Tell whether a word is among those that describe it."""
        return word in self.words.split()


@dataclass(frozen=True, slots=True)
class Shape:
    """A drawn shape."""

    kind: str
    text: str
    colour: str
    x: int
    y: int
    width: int
    height: int
    ref: int | None
    """``None`` if it cannot be used by itself."""


class PageText:
    """A page in lines and elements."""

    def __init__(self, text: str) -> None:
        """Read an observation without the task."""
        self.lines = text.split("\n")
        self.elements: list[Element] = []
        for number, line in enumerate(self.lines):
            for match in _ELEMENT.finditer(line):
                self.elements.append(_element(match, number))

    def of(self, *roles: str) -> list[Element]:
        """Return the elements of these roles, in order."""
        return [element for element in self.elements if element.role in roles]

    def named(self, name: str, *roles: str) -> Element | None:
        """Return the first element of that name, whatever the case of its letters."""
        return next(
            (
                element
                for element in self.elements
                if element.name.lower() == name.lower() and (not roles or element.role in roles)
            ),
            None,
        )

    def handle(self, handle: str) -> Element | None:
        """Return the first element of an ``#id`` or ``.class``."""
        return next((each for each in self.elements if each.has(handle)), None)

    def after(self, line: int, handle: str) -> Element | None:
        """Return the first element with a handle below a line."""
        return next((each for each in self.elements if each.line > line and each.has(handle)), None)

    def line_of(self, text: str) -> int | None:
        """Return the number of the first line that is ``text`` or begins with it as a word."""
        for number, line in enumerate(self.lines):
            if re.match(rf"(- |#+ )?{re.escape(text)}(\W|$)", line):
                return number
        return None

    def plain(self) -> list[str]:
        """Return the lines that hold no element."""
        return [line for line in self.lines if line and "[" not in line]

    def shapes(self) -> list[Shape]:
        """Return the drawn shapes."""
        found = []
        for line in self.lines:
            for match in _SHAPE.finditer(line):
                before = re.search(r"\[(\d+)\] $", line[: match.start()])
                kind, text, colour = match.groups()[:3]
                x, y, width, height = (int(number) for number in match.groups()[3:])
                ref = int(before[1]) if before else None
                found.append(Shape(kind, text or "", colour or "", x, y, width, height, ref))
        return found


def _element(match: re.Match[str], line: int) -> Element:
    words = match[3]
    name = _NAME.match(words)
    value = _VALUE.search(words)
    return Element(
        int(match[1]),
        match[2],
        _unquoted(name[1]) if name else "",
        _unquoted(value[1]) if value else "",
        words,
        line,
    )


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def click(element: Element | int) -> ToolCall:
    """Return a click."""
    return ToolCall("click", {"ref": element if isinstance(element, int) else element.ref})


def fill(element: Element, text: str) -> ToolCall:
    """Return what writes into a field."""
    return ToolCall("fill", {"ref": element.ref, "text": text})


def press(key: str) -> ToolCall:
    """Return a key press."""
    return ToolCall("press", {"key": key})


def drag(ref: int, **arguments: int) -> ToolCall:
    """Return a drag."""
    return ToolCall("drag", {"from_ref": ref, **arguments})


def submit(page: PageText) -> ToolCall:
    """Return a click on the button that hands the page in."""
    for name in ("Submit", "Login", "Search", "OK", "Order!"):
        button = page.named(name)
        if button is not None:
            return click(button)
    buttons = page.of("button")
    return click(buttons[-1]) if buttons else press("Enter")


def quoted(goal: str) -> list[str]:
    """Return what a task puts in double quotes."""
    return re.findall(r'"([^"]*)"', goal)


def ordinal(goal: str) -> int:
    """Return the number in a task's ``2nd`` or the like, 1 if there is none."""
    match = re.search(r"(\d+)(st|nd|rd|th)", goal)
    return int(match[1]) if match else 1


def clicks(past: Sequence[ToolCall]) -> list[int]:
    """Return the refs clicked so far."""
    return [call.arguments["ref"] for call in past if call.name == "click"]
