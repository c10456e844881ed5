"""Random walks over the sites, which press whatever a page shows."""

import re

from pivot_envs.tools import ToolCall
from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.script import Element, elements

_OPTIONS = re.compile(r"\[(\d+)\] combobox .*?options: ([^\[\n]*)")
_TEXTS = ("lamp", "3", "12", "maple street 4", "ann@mail.example", "Ünïcode & <b>", "")


def next_call(draw: Draw, observation: str) -> ToolCall:
    """Return a drawn action on the page of an observation; never one that ends the episode."""
    shown = elements(observation)
    if not shown or draw.chance(0.08):
        return ToolCall("back", {})
    if draw.chance(0.05):
        return ToolCall("scroll", {"dy": draw.choice((300, -200))})
    if draw.chance(0.05):
        return ToolCall("press", {"key": draw.choice(("Enter", "Tab", "a"))})
    return _use(draw, draw.choice(shown), observation)


def _use(draw: Draw, element: Element, observation: str) -> ToolCall:
    if element.role in ("textbox", "searchbox"):
        return ToolCall("fill", {"ref": element.ref, "text": draw.choice(_TEXTS)})
    if element.role == "combobox":
        lists = {int(ref): text for ref, text in _OPTIONS.findall(observation)}
        options = [each.strip() for each in lists.get(element.ref, "").split(" | ")]
        return ToolCall("select", {"ref": element.ref, "option": draw.choice(options)})
    return ToolCall("click", {"ref": element.ref})
