"""Scripts that solve tasks: steps named by what a person sees, turned into tool calls."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pivot_envs.tools import ToolCall

_ELEMENT = re.compile(r'\[(\d+)\] (\w+)(?: ("(?:[^"\\]|\\.)*"))?')
_MORE_BELOW = re.compile(r"\[\d+ lines below: scroll down")


@dataclass(frozen=True, slots=True)
class Click:
    """Click a button or a link; a button is preferred where both have that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Fill:
    """Write into a text field."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Choose:
    """Choose an option of a drop-down list."""

    name: str
    option: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Click a check box or a radio button."""

    name: str


@dataclass(frozen=True, slots=True)
class Visit:
    """Go to a path of the site."""

    path: str


@dataclass(frozen=True, slots=True)
class Finish:
    """End the episode, with an answer where the task asks for one."""

    answer: str | None = None


Step = Click | Fill | Choose | Tick | Visit | Finish


@dataclass(frozen=True, slots=True)
class Element:
    """Something on the page that can be used."""

    ref: int
    role: str
    name: str


def elements(observation: str) -> list[Element]:
    """Return what an observation shows, in its order."""
    return [
        Element(int(ref), role, json.loads(name) if name else "")
        for ref, role, name in _ELEMENT.findall(observation)
    ]


class Script:
    """Turns steps into tool calls, one for each observation.

    Where a step's element is not shown, the script scrolls down or goes to the list's next page.
    """

    def __init__(self, steps: Sequence[Step], origin: str) -> None:
        """Create the script of an episode.

        Args:
            steps: What to do, from the first page on.
            origin: The site, such as ``http://shop.sites.test``.
        """
        self._steps = list(steps)
        self._origin = origin

    def next_call(self, observation: str) -> ToolCall:
        """Return what to do on the page that the observation shows.

        Raises:
            LookupError: The page does not have what the next step needs.
        """
        step = self._steps[0]
        call = self._call(step, observation)
        if call is not None:
            del self._steps[0]
            return call
        if _MORE_BELOW.search(observation):
            return ToolCall("scroll", {"dy": _SCROLL_PIXELS})
        following = _find(observation, ("link",), "Next page")
        if following is None:
            raise LookupError(f"no element for {step} on the page:\n{observation}")
        return ToolCall("click", {"ref": following})

    def _call(self, step: Step, observation: str) -> ToolCall | None:
        """Return the tool call of a step, ``None`` if its element is not shown."""
        if isinstance(step, Visit):
            return ToolCall("goto", {"url": f"{self._origin}{step.path}"})
        if isinstance(step, Finish):
            if step.answer is None:
                return ToolCall("submit", {})
            return ToolCall("answer", {"text": step.answer})
        ref = _find(observation, _ROLES[type(step)], step.name)
        if ref is None:
            return None
        if isinstance(step, Fill):
            return ToolCall("fill", {"ref": ref, "text": step.text})
        if isinstance(step, Choose):
            return ToolCall("select", {"ref": ref, "option": step.option})
        return ToolCall("click", {"ref": ref})


_SCROLL_PIXELS = 600
_ROLES: Mapping[type, tuple[str, ...]] = {
    Click: ("button", "link"),
    Fill: ("textbox", "searchbox"),
    Choose: ("combobox",),
    Tick: ("checkbox", "radio"),
}


def _find(observation: str, roles: Sequence[str], name: str) -> int | None:
    """Return the first element of the first of these roles that has this name."""
    shown = elements(observation)
    for role in roles:
        for element in shown:
            if element.role == role and element.name == name:
                return element.ref
    return None
