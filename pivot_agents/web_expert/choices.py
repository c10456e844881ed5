"""Skills of choosing: buttons, boxes, lists, tabs, menus, numbers, shapes."""

import re
from collections.abc import Sequence

from pivot_agents.web_expert.page import (
    PageText,
    click,
    clicks,
    ordinal,
    quoted,
    submit,
)
from pivot_agents.web_expert.shapes import COLOURS
from pivot_envs import ToolCall

WIDGETS = {"button": "button", "checkbox": "checkbox", "radio": "radio", "text": "textbox"}


def button(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click the button that is named: in quotes, in capitals, or the only one."""
    names = quoted(goal) or re.findall(r"\b[A-Z]{3,}\b", goal)
    wanted = page.named(names[min(len(past), len(names) - 1)]) if names else None
    return click(wanted) if wanted else submit(page)


def widget(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click any widget of the kind that is asked for."""
    kind = quoted(goal)[0]
    found = page.of(WIDGETS.get(kind, "textbox"))
    if kind == "textarea":
        found = page.of("textbox")[-1:]
    return click(found[0])


def dialog(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click a dialog's button; the one labeled x is its close button."""
    name = quoted(goal)[0]
    wanted = page.named("Close" if name == "x" else name)
    return click(wanted) if wanted else submit(page)


def colour(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click the box of a colour."""
    for name, code in COLOURS.items():
        if re.search(rf"\b{name}\b", goal):
            wanted = page.handle(f"color={code}")
            if wanted:
                return click(wanted)
    return click(page.elements[0])


def shades(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click every box in which the wanted part of the colour prevails."""
    wanted = next(index for index, name in enumerate(("red", "green", "blue")) if name in goal)
    for element in page.of("span"):
        match = re.search(r"color=#(..)(..)(..)", element.words)
        if match and element.ref not in clicks(past):
            parts = [int(part, 16) for part in match.groups()]
            if parts[wanted] == max(parts) and parts.count(max(parts)) == 1:
                return click(element)
    return submit(page)


def checkboxes(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Tick the boxes that are listed, then submit."""
    listed = re.sub(r"^Select | and click Submit\.?$", "", goal).split(", ")
    for element in page.of("checkbox", "radio"):
        if element.name in listed and not element.has("checked"):
            return click(element)
    return submit(page)


def options(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Choose the listed options of a list, then submit."""
    match = re.match(r"Select (.*) from the (scroll )?list", goal)
    element = page.of("combobox", "listbox")[0]
    for name in match[1].split(", ") if match else ():
        if name not in element.value.split(", "):
            return ToolCall("select", {"ref": element.ref, "option": name})
    return submit(page)


def tab(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click the tab that is named, or look through them for a link."""
    match = re.search(r"Tab #\d+", goal)
    if match:
        wanted = page.named(match[0])
        return click(wanted) if wanted else submit(page)
    wanted = page.named(quoted(goal)[0], "span")
    if wanted:
        return click(wanted)
    tabs = page.of("link")
    return click(tabs[min(len(past) + 1, len(tabs) - 1)])


def section(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Open sections one after the other until a link is seen, or the only one."""
    names = quoted(goal)
    wanted = page.named(names[0], "span") if names else None
    if wanted:
        return click(wanted)
    tabs = page.of("tab")
    if not names and past:
        return submit(page)
    return click(tabs[min(len(past), len(tabs) - 1)])


def link(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click the link that is named."""
    wanted = page.named(quoted(goal)[0])
    return click(wanted) if wanted else submit(page)


def menu(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click through the levels of a menu."""
    names = goal.removeprefix("Select ").split(">")
    for name in reversed(names):
        wanted = page.named(name.strip(), "menuitem")
        if wanted:
            return click(wanted)
    return submit(page)


def toolbar_menu(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Open a menu and look for an item in it and its submenus."""
    names = quoted(goal)
    items = page.of("menuitem")
    if not items:
        opener = page.named("Menu", "button")
        return click(opener) if opener else submit(page)
    wanted = page.named(names[1], "menuitem") if len(names) > 1 else None
    if wanted:
        return click(wanted)
    parents = [item for item in items if item.name in ("Playback", "Zoom", "Options", "File")]
    return click((parents or items)[0])


def greatest(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Pick the card with the greatest number."""
    if past:
        return submit(page)
    cards = [
        (int(number), element)
        for element in page.of("div")
        for number in re.findall(r"-?\d+", element.name or page.lines[element.line])[:1]
    ]
    if len({number for number, _ in cards}) < len(cards):
        numbers = re.findall(r"\[(\d+)\] div \S+ (-?\d+)", page.lines[cards[0][1].line])
        return click(int(max(numbers, key=lambda pair: int(pair[1]))[0]))
    return click(max(cards, key=lambda card: card[0])[1])


def parity(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Mark each number as odd or even."""
    buttons = page.of("button")
    for number, line in enumerate(page.lines):
        if re.fullmatch(r"-?\d+", line):
            odd = max((b for b in buttons if b.line < number), key=lambda b: b.line)
            even = min((b for b in buttons if b.line > number), key=lambda b: b.line)
            wanted = odd if int(line) % 2 else even
            if wanted.ref not in clicks(past):
                return click(wanted)
    return submit(page)


def coordinate(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click a point of the grid."""
    match = re.search(r"\((-?\d+),(-?\d+)\)", goal)
    wanted = page.handle(f"#({match[1]},{match[2]})") if match else None
    return click(wanted) if wanted else submit(page)


def ticket(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Book the cheapest or shortest flight."""
    by_price = "cheap" in goal or "expensive" in goal
    flights: list[tuple[int, int]] = []
    for element in page.of("button"):
        price = int(re.sub(r"\D", "", element.name))
        hours = re.search(r"(\d+)h (\d+)m", page.lines[element.line - 1])
        minutes = int(hours[1]) * 60 + int(hours[2]) if hours else 10**6
        flights.append((price if by_price else minutes, element.ref))
    pick = max if "expensive" in goal or "longest" in goal else min
    return click(pick(flights)[1])


def nth_field(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click the field of a number."""
    return click(page.of("textbox")[ordinal(goal) - 1])
