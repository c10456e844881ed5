"""Screen, an observation of a web page read back: what can be used, and where it stands."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

_ITEM = re.compile(r'\[(\d+)\] (\S+)(?: ("(?:[^"\\]|\\.)*"))?((?:(?! \[\d+\] ).)*)')
_VALUE = re.compile(r'(?:^| )value=("(?:[^"\\]|\\.)*")')
_OPTIONS = re.compile(r" options: (.*)")
_HANDLE = re.compile(r"^ ([#.]\S+)")
_PLACE = re.compile(r" at (-?\d+),(-?\d+) size (\d+)x(\d+)")
_STATES = re.compile(
    r"(?<= )(checked|selected|active|expanded|pressed|disabled|readonly|focused)\b"
)
_SHAPE = re.compile(
    r"(?:\[(\d+)\] )?\b(text|rect|circle|polygon|line)(?: (\"(?:[^\"\\]|\\.)*\"))?(?: [#.]\S+)?"
    r" fill=(\S+) at (-?\d+),(-?\d+) size (\d+)x(\d+)"
)
_FILL = re.compile(r"\b(?:fill|color)=(\S+)")


class LostError(LookupError):
    """What a script looks for is not on the screen."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something that can be used: ``[ref] role "name" state``."""

    ref: int
    role: str
    name: str
    """Its name, ``""`` if it has none."""
    rest: str
    """What follows the name, such as ``' value="7" focused'``."""
    line: int
    """Number of its line on the screen."""
    before: str
    """Text before it on its line, or the line above if it begins its own."""

    @property
    def marks(self) -> frozenset[str]:
        """``#id`` and ``.class`` of an element without a name."""
        match = _HANDLE.match(self.rest)
        return frozenset(re.findall(r"[#.][^#.]+", match[1])) if match else frozenset()

    @property
    def value(self) -> str:
        """The text in a field, or the chosen option; long ones end in ``…``."""
        match = _VALUE.search(self.rest)
        return str(json.loads(match[1])) if match else ""

    @property
    def options(self) -> tuple[str, ...]:
        """Texts of the options of a list."""
        match = _OPTIONS.search(self.rest)
        return tuple(option.strip() for option in match[1].split(" | ")) if match else ()

    @property
    def states(self) -> frozenset[str]:
        """Such as ``checked``, ``focused``, ``disabled``."""
        said = _VALUE.sub("", _OPTIONS.sub("", self.rest))
        return frozenset(_STATES.findall(said))

    @property
    def is_multiline(self) -> bool:
        """Whether it is a field for several lines of text."""
        return " multiline" in _VALUE.sub("", self.rest)

    @property
    def colour(self) -> str:
        """The colour that fills it, as CSS names it or ``#rrggbb``; else ``""``."""
        match = _FILL.search(self.rest)
        return match[1] if match else ""

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Centre x and y within the drawing, width and height, in pixels.

        Raises:
            LostError: The screen does not say.
        """
        match = _PLACE.search(self.rest)
        if match is None:
            raise LostError(f"[{self.ref}] has no place")
        x, y, width, height = (int(number) for number in match.groups())
        return x, y, width, height


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape of a drawing, whether it can be used or not."""

    ref: int
    """0 if it cannot be used."""
    kind: str
    """``text``, ``rect``, ``circle``, ``polygon`` or ``line``."""
    text: str
    colour: str
    x: int
    """Of the centre, in pixels from the drawing's left."""
    y: int
    width: int
    height: int


class Screen:
    """One observation."""

    def __init__(self, text: str) -> None:
        """Read an observation: what the page shows, without the task."""
        self.text = text
        self.lines: tuple[str, ...] = tuple(text.split("\n"))
        self.items: tuple[Item, ...] = tuple(
            item for number in range(len(self.lines)) for item in self._items_of(number)
        )

    def _items_of(self, number: int) -> list[Item]:
        line = self.lines[number]
        items: list[Item] = []
        end = 0
        for match in _ITEM.finditer(line):
            before = line[end : match.start()].strip(" |-#")
            if not before and not items:
                before = self.lines[number - 1].strip() if number else ""
            name = str(json.loads(match[3])) if match[3] else ""
            items.append(Item(int(match[1]), match[2], name, match[4], number, before))
            end = match.end()
        return items

    def all(self, *roles: str, where: Callable[[Item], bool] | None = None) -> list[Item]:
        """Return the items of these roles (of any role if none is given), from top to bottom."""
        return [
            item
            for item in self.items
            if (not roles or item.role in roles) and (where is None or where(item))
        ]

    def first(self, *roles: str, where: Callable[[Item], bool] | None = None) -> Item:
        """Return the first such item.

        Raises:
            LostError: There is none.
        """
        found = self.all(*roles, where=where)
        if not found:
            raise LostError(f"no {' or '.join(roles) or 'item'} as wanted on the screen")
        return found[0]

    def named(self, name: str, *roles: str) -> Item:
        """Return the first item of that name, in any case if none has it exactly.

        Raises:
            LostError: There is none.
        """
        found = self.all(*roles, where=lambda item: item.name == name)
        wanted = name.casefold()
        return (found or [self.first(*roles, where=lambda it: it.name.casefold() == wanted)])[0]

    @property
    def shapes(self) -> list[Shape]:
        """The shapes of drawings."""
        found = []
        for ref, kind, text, colour, *numbers in _SHAPE.findall(self.text):
            text = str(json.loads(text)) if text else ""
            found.append(Shape(int(ref or 0), kind, text, colour, *map(int, numbers)))
        return found

    def by_ref(self, ref: int) -> Item:
        """Return the item of a ref.

        Raises:
            LostError: There is none.
        """
        return self.first(where=lambda item: item.ref == ref)

    @property
    def focused(self) -> Item | None:
        """The item that has the focus."""
        return next((item for item in self.items if "focused" in item.states), None)
