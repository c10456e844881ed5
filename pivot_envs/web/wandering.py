"""Random actions that fit a page, for tests and for looking around."""

import re
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from pivot_envs.tools import ToolCall

Item = TypeVar("Item")

_ELEMENT = re.compile(r"\[(\d+)\] (\S+)([^\[\n]*)")
_FIELDS = frozenset({"textbox", "searchbox", "spinbutton"})
_LISTS = frozenset({"combobox", "listbox"})
_TEXTS = ("a", "7", "blue", "Anna", "2016-12-05", "note one")
_KEYS = ("Tab", "Enter", "ArrowDown", "ArrowRight", "Backspace", "Escape")
_DISTANCES = (-40, -10, 15, 60)


def elements(observation: str) -> list[tuple[int, str, str]]:
    """Return ref, role and the rest of the words of each element that can be used."""
    found = _ELEMENT.findall(observation)
    return [(int(ref), role, rest.strip()) for ref, role, rest in found]


def wander(observation: str, generator: np.random.Generator) -> ToolCall:
    """Draw an action that makes sense on a page: mostly on its elements, with fitting values.

    Args:
        observation: The page as text.
        generator: Decides.
    """
    known = elements(observation)
    kind = generator.random()
    if not known or kind < 0.05:
        return ToolCall("scroll", {"dy": _one(_DISTANCES, generator)})
    ref, role, rest = _one(known, generator)
    if kind < 0.15:
        return ToolCall("press", {"key": _one(_KEYS, generator)})
    if kind < 0.22:
        arguments = {"dx": _one(_DISTANCES, generator), "dy": _one(_DISTANCES, generator)}
        return ToolCall("drag", {"from_ref": ref, **arguments})
    if kind < 0.27:
        return ToolCall("drag", {"from_ref": ref, "to_ref": _one(known, generator)[0]})
    if role in _FIELDS and "readonly" not in rest:
        return ToolCall("fill", {"ref": ref, "text": _one(_TEXTS, generator)})
    if role in _LISTS:
        options = rest.partition("options:")[2].split(" | ")
        return ToolCall("select", {"ref": ref, "option": _one(options, generator).strip()})
    return ToolCall("click", {"ref": ref})


def _one(items: Sequence[Item], generator: np.random.Generator) -> Item:
    return items[int(generator.integers(len(items)))]
