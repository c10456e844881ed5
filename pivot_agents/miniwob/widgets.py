"""Scripts for sliders, spinners, calendars, menus, and what is scrolled or waited for."""

import re
from collections.abc import Mapping

from pivot_agents.miniwob.scene import Scene, Script, click, fill_in, press, submit, use
from pivot_agents.miniwob.screen import Item, LostError
from pivot_envs import ToolCall

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_FAR = 8


def set_sliders(scene: Scene) -> ToolCall:
    """Set one or several sliders, then submit."""
    numbers = [int(number) for number in re.findall(r"-?\d+", scene.goal)]
    return _slide(scene, numbers) or submit(scene)


def _slide(scene: Scene, wanted: list[int]) -> ToolCall | None:
    """Return a step towards the wanted numbers, None if the sliders show them."""
    handles = scene.screen.all("span", where=lambda item: ".ui-slider-handle" in item.marks)
    for handle, number in zip(handles, wanted, strict=True):
        left = number - _shown(scene, handle)
        if left:
            return _nudge(scene, handle, left)
    return None


def _shown(scene: Scene, handle: Item) -> int:
    """Return the number that is written below a slider."""
    return int(scene.screen.lines[handle.line + 1])


def _nudge(scene: Scene, handle: Item, left: int) -> ToolCall:
    """Move a slider by keys: far ones by pages, near ones by single steps."""
    if "focused" not in handle.states:
        return click(handle)
    page = _page(scene, handle.line)
    goes_by_page = abs(left) > (page // 2 if page else _FAR)
    if goes_by_page:
        return press("PageUp" if left > 0 else "PageDown")
    ways = ("ArrowRight", "ArrowUp") if left > 0 else ("ArrowLeft", "ArrowDown")
    return press(ways[0] if scene.chance("sideways", 0.6) else ways[1])


def _page(scene: Scene, line: int) -> int:
    """Return by how much a page moved a slider so far, 0 if none did."""
    screens = [step.screen for step in scene.steps] + [scene.screen]
    for index, step in enumerate(scene.steps):
        if step.call.arguments.get("key") in ("PageUp", "PageDown"):
            before, after = (int(screens[index + place].lines[line + 1]) for place in (0, 1))
            if before != after:
                return abs(before - after)
    return 0


def set_spinner(scene: Scene) -> ToolCall:
    """Set a spinner by its arrow keys, then submit."""
    (number,) = scene.said(r"Select (-?\d+)")
    field = scene.screen.first("spinbutton")
    value = int(field.value or 0)
    if value == int(number):
        return submit(scene)
    if "focused" not in field.states:
        return press("Tab") if not scene.steps and scene.chance("tab", 0.4) else click(field)
    return press("ArrowUp" if value < int(number) else "ArrowDown")


def fill_form_1(scene: Scene) -> ToolCall:
    """Set a slider, tick the box that the goal counts to, then submit."""
    number, place = scene.said(r"Select (-?\d+) with the slider, click the (\d+)")
    box = scene.screen.all("checkbox")[int(place) - 1]
    return (
        _slide(scene, [int(number)])
        or (None if "checked" in box.states else click(box))
        or submit(scene)
    )


def fill_form_2(scene: Scene) -> ToolCall:
    """Choose a radio button, write into a field, then submit."""
    radio, text, place = scene.said(r'(\d+)\w+ radio button and enter .* "(.*)" into the (\d+)')
    option = scene.screen.all("radio")[int(radio) - 1]
    if "checked" not in option.states:
        return click(option)
    field = scene.screen.all("textbox")[int(place) - 1]
    return fill_in(scene, [(field, text)], scene.screen.named("Submit"))


def fill_form_3(scene: Scene) -> ToolCall:
    """Choose from a drop-down menu, then press a button."""
    option, name = scene.said(r'Choose (.*) from the dropdown, then click .* "(.*)"')
    if scene.screen.first("combobox").value == option:
        return click(scene.screen.named(name, "button"))
    entries = scene.screen.all("li", where=lambda item: item.name == option)
    return click(entries[0] if entries else scene.screen.named("▾"))


def choose_date(scene: Scene) -> ToolCall:
    """Choose a day in a calendar that folds out, then submit."""
    (date,) = scene.said(r"(\d+/\d+/\d+)")
    field = scene.screen.first("textbox", where=lambda item: "#datepicker" in item.marks)
    return pick_date(scene, field, date) or submit(scene)


def pick_date(scene: Scene, field: Item, date: str) -> ToolCall | None:
    """Return a step towards a date (month/day/year) in a field, None if it is there."""
    if field.value == date:
        return None
    shown = re.search(rf"^({'|'.join(_MONTHS)}) (\d+)$", scene.screen.text, re.MULTILINE)
    if shown is None:
        return click(field)
    month, day, year = (int(number) for number in date.split("/"))
    ahead = (year - int(shown[2])) * 12 + month - 1 - _MONTHS.index(shown[1])
    if ahead:
        return click(scene.screen.named("Next" if ahead > 0 else "Prev", "link"))
    return click(scene.screen.named(str(day), "link"))


def walk_menu(scene: Scene) -> ToolCall:
    """Walk through a menu by keys: down to each part of the path, to the right, and Enter."""
    (path,) = scene.said(r"Select (.*)")
    entries = scene.screen.all("menuitem")
    lines = scene.screen.lines
    names = [entry.name or lines[entry.line + 1] for entry in entries]
    keys = ["Tab"]
    above = -1
    for name in path.split(">"):
        if name not in names:
            break
        keys += ["ArrowDown"] * (names.index(name) - above - 1)
        above = names.index(name)
        keys.append("Enter" if path.endswith(name) else "ArrowRight")
    if len(scene.steps) >= len(keys):
        raise LostError("the menu does not show the next part")
    return press(keys[len(scene.steps)])


def wait_between(scene: Scene) -> ToolCall:
    """Press ONE, let time pass, press TWO; each step takes a tenth of a second."""
    (seconds,) = scene.said(r"wait (\d+) seconds")
    turns = len(scene.steps)
    if turns == 0:
        return click(scene.screen.named("ONE"))
    tenths = scene.choose("tenths a second", (9, 10)) if seconds != "3" else 9
    return press("Shift") if turns < int(seconds) * tenths else click(scene.screen.named("TWO"))


def scroll_text(scene: Scene) -> ToolCall:
    """Scroll a text to its top or bottom, then submit."""
    (way,) = scene.said(r"to the (top|bottom)")
    if scene.count("scroll"):
        # Tab would scroll the text back to its cursor.
        return click(scene.screen.named("Submit"))
    text = scene.screen.first("textbox")
    length = scene.choose("length", (2000, 2500, 3000, 4000))
    return ToolCall("scroll", {"ref": text.ref, "dy": length if way == "bottom" else -length})


def sign(scene: Scene) -> ToolCall:
    """Read to the end of an agreement, enter a name, and agree or cancel."""
    if not scene.quoted:
        return use(scene, scene.screen.named("Cancel"))
    text, name = scene.screen.all("textbox")
    button = scene.screen.named(scene.quoted[-1], "button")
    if "disabled" in name.states:
        length = scene.choose("length", (500, 1000, 2000))
        return ToolCall("scroll", {"ref": text.ref, "dy": length})
    return fill_in(scene, [(name, scene.quoted[0])], button)


def use_terminal(scene: Scene) -> ToolCall:
    """List the files, then remove one with the extension."""
    field = scene.screen.first("textbox")
    match = re.search(r"extension (\.\S+)", scene.goal)
    typed = [step.call.arguments.get("text") for step in scene.steps if step.call.name == "fill"]
    last = scene.steps[-1].call if scene.steps else None
    if last is not None and last.name == "fill":
        return press("Enter")
    if last is None and scene.chance("focus", 0.3):
        return click(scene.screen.first("div", where=lambda item: "#terminal" in item.marks))
    if "ls" not in typed:
        return ToolCall("fill", {"ref": field.ref, "text": "ls"})
    lines = scene.screen.lines
    files = lines[next(i for i, line in enumerate(lines) if line.endswith("$ ls")) + 1].split()
    fitting = [name for name in files if (name.endswith(match[1]) if match else "." not in name)]
    return ToolCall("fill", {"ref": field.ref, "text": f"rm {scene.choose('file', fitting)}"})


def resize(scene: Scene) -> ToolCall:
    """Drag an edge of a field, then submit."""
    if scene.count("drag"):
        return submit(scene)
    side, size = scene.said(r"the (height|width) is (larger|smaller)")
    edge = ".ui-resizable-e" if side == "width" else ".ui-resizable-s"
    handle = scene.screen.first(where=lambda item: edge in item.marks)
    length = scene.choose("length", (10, 15, 20, 25)) * (1 if size == "larger" else -1)
    way = {"dx": length, "dy": 0} if side == "width" else {"dx": 0, "dy": length}
    return ToolCall("drag", {"from_ref": handle.ref, **way})


def create_event(scene: Scene) -> ToolCall:
    """Mark the time of an event in a calendar, name it, and create it."""
    length, unit, name = scene.said(r"Create a ([\d.]+) ?(\w+) event named \"(\w+)\"")
    first, last = (_half_hour(time) for time in scene.said(r"between (\w+) and (\w+)"))
    halves = round(float(length) * (2 if unit.startswith("h") else 1 / 30))
    fields = scene.screen.all("textbox")
    if fields and _marked(scene) != halves:
        # Another event lay over the end.
        return click(scene.screen.named("Cancel"))
    if fields:
        return fill_in(scene, [(fields[0], name)], scene.screen.named("Create"))
    starts = scene.shuffled("starts", range(first, last - halves + 1))
    # Where another event lies, nothing can be marked: the next place is tried.
    start = starts[scene.count("drag") % len(starts)]
    cells = {mark: item for item in scene.screen.all("div") for mark in item.marks}
    begin, end = cells[f"#hh-{start}"], cells[f"#hh-{start + halves - 1}"]
    return ToolCall("drag", {"from_ref": begin.ref, "to_ref": end.ref, "to_y": 12})


def _marked(scene: Scene) -> int:
    """Return how many half hours the new event has."""
    match = re.search(r"([\d:]+[ap]m)\W+to\W+([\d:]+[ap]m)", scene.screen.text)
    if match is None:
        raise LostError("the new event shows no times")
    return (_half_hour(match[2]) - _half_hour(match[1])) % 48


def _half_hour(time: str) -> int:
    """Return the number of half hours from midnight to a time such as 4PM or 4:30pm."""
    hour, _, minute = time[:-2].partition(":")
    return 2 * (int(hour) % 12) + (minute == "30") + 24 * time.lower().endswith("pm")


SCRIPTS: Mapping[str, Script] = {
    "button-delay": wait_between,
    "choose-date": choose_date,
    "choose-date-easy": choose_date,
    "choose-date-medium": choose_date,
    "choose-date-nodelay": choose_date,
    "click-menu": walk_menu,
    "daily-calendar": create_event,
    "form-sequence": fill_form_1,
    "form-sequence-2": fill_form_2,
    "form-sequence-3": fill_form_3,
    "resize-textarea": resize,
    "scroll-text-2": scroll_text,
    "sign-agreement": sign,
    "terminal": use_terminal,
    "use-slider": set_sliders,
    "use-slider-2": set_sliders,
    "use-spinner": set_spinner,
}
