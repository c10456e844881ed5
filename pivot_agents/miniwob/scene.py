"""Scene, what a script decides on: the goal, the screen, its past steps, and what it draws."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pivot_agents.miniwob.screen import Item, LostError, Screen
from pivot_envs import ToolCall

_T = TypeVar("_T")
_ACTIVATING = frozenset({"button", "link"})
_STOPS = frozenset(
    {"button", "link", "textbox", "searchbox", "checkbox", "radio", "combobox", "spinbutton"}
)
_MOST_TABS = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One of the past steps: what was seen, and what was done."""

    screen: Screen
    call: ToolCall

    @property
    def item(self) -> Item | None:
        """The item that the step acted on; for a key, the one that had the focus."""
        if self.call.name == "press":
            return self.screen.focused
        ref = self.call.arguments.get("ref", self.call.arguments.get("from_ref"))
        return next((item for item in self.screen.items if item.ref == ref), None)


@dataclass(frozen=True, slots=True)
class Scene:
    """A moment of an episode as its agent sees it."""

    goal: str
    screen: Screen
    steps: tuple[Step, ...]
    key: str
    """Seed and task: what is drawn depends on it and on the draw's name alone."""

    @property
    def quoted(self) -> list[str]:
        """What the goal says in quotation marks."""
        return re.findall(r'"([^"]*)"', self.goal)

    def said(self, pattern: str) -> tuple[str, ...]:
        """Return the groups of a pattern in the goal.

        Raises:
            LostError: The goal reads otherwise.
        """
        match = re.search(pattern, self.goal)
        if match is None:
            raise LostError(f"the goal does not read {pattern!r}")
        return match.groups()

    def chance(self, draw: str, share: float) -> bool:
        """Draw yes or no."""
        return self._generator(draw).random() < share

    def choose(self, draw: str, options: Sequence[_T]) -> _T:
        """Draw one of several."""
        if not options:
            raise LostError(f"nothing to choose from for {draw!r}")
        return self._generator(draw).choice(options)

    def shuffled(self, draw: str, options: Sequence[_T]) -> list[_T]:
        """Draw an order."""
        order = list(options)
        self._generator(draw).shuffle(order)
        return order

    def _generator(self, draw: str) -> random.Random:
        return random.Random(f"{self.key} {draw}")

    @property
    def used(self) -> list[Item]:
        """Items clicked or activated by key so far, as they looked then."""
        return [
            step.item
            for step in self.steps
            if step.item is not None
            and (step.call.name == "click" or step.call.arguments.get("key") in ("Enter", "Space"))
        ]

    def count(self, name: str) -> int:
        """Return how often a tool was called."""
        return sum(step.call.name == name for step in self.steps)


Script = Callable[[Scene], ToolCall]
"""Decides the next step of a task."""


def click(item: Item, **offset: int) -> ToolCall:
    """Click an item, in its middle or at ``x``, ``y`` pixels from its corner."""
    return ToolCall("click", {"ref": item.ref, **offset})


def press(key: str) -> ToolCall:
    """Press a key."""
    return ToolCall("press", {"key": key})


def use(scene: Scene, item: Item) -> ToolCall:
    """Click an item, or go to it with Tab and press it where that is near and so drawn."""
    key = "Space" if item.role == "checkbox" else "Enter"
    if item.role not in _ACTIVATING | {"checkbox"} or not scene.chance("keyboard", 0.3):
        return click(item)
    if "focused" in item.states:
        # Where the key did nothing, as some pages take it for something else, a click does.
        last = scene.steps[-1].call if scene.steps else None
        return click(item) if last == press(key) else press(key)
    stops = scene.screen.all(*_STOPS, where=lambda stop: "disabled" not in stop.states)
    places = [index for index, stop in enumerate(stops) if "focused" in stop.states]
    distance = stops.index(item) - (places[0] if places else -1) if item in stops else 0
    tabs = sum(step.call.arguments.get("key") == "Tab" for step in scene.steps)
    if 1 <= distance <= _MOST_TABS and tabs <= 2 * _MOST_TABS:
        return press("Tab")
    return click(item)


def write(scene: Scene, item: Item, text: str) -> ToolCall | None:
    """Return a step towards a field that holds the text, None if it does."""
    if item.value == _shown(text):
        return None
    way = scene.choose(
        f"way into {item.role} {sorted(item.marks)} {item.before}", ("fill", "focus")
    )
    if way == "fill" or "focused" in item.states:
        return ToolCall("fill", {"ref": item.ref, "text": text})
    fields = scene.screen.all("textbox")
    focused = scene.screen.focused
    follows = (
        focused in fields and item in fields and fields.index(item) == (fields.index(focused) + 1)
    )
    if follows and scene.chance("tab between fields", 0.5):
        return press("Tab")
    return click(item)


def _shown(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= 200 else f"{text[:100]} … {text[-100:]}"


def fill_in(scene: Scene, fields: Sequence[tuple[Item, str]], button: Item) -> ToolCall:
    """Fill fields in a drawn order, mostly from top to bottom, then press the button."""
    order = scene.shuffled("fields", fields) if scene.chance("other order", 0.25) else fields
    for item, text in order:
        call = write(scene, item, text)
        if call is not None:
            return call
    return use(scene, button)


def submit(scene: Scene) -> ToolCall:
    """Press the Submit button."""
    return use(scene, scene.screen.named("Submit"))
