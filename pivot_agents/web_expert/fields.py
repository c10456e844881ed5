"""Skills of writing: forms, dates, sums, tables, searches."""

import re
from collections.abc import Sequence

from pivot_agents.web_expert.page import (
    Element,
    PageText,
    click,
    fill,
    ordinal,
    press,
    quoted,
    submit,
)
from pivot_envs import ToolCall

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_FIELDS = ("textbox", "spinbutton", "searchbox", "date", "time")


def _fill_all(page: PageText, wanted: Sequence[tuple[Element, str]]) -> ToolCall:
    """Write the first value that is not there yet, or submit."""
    for element, text in wanted:
        if element.value != text:
            return fill(element, text)
    return submit(page)


def text(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Write the quoted text, in the case that is asked for, into every field."""
    wanted = quoted(goal)[0]
    wanted = wanted.upper() if "upper case" in goal else wanted
    wanted = wanted.lower() if "lower case" in goal else wanted
    return _fill_all(page, [(field, wanted) for field in page.of("textbox")])


def login(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Write user name and password; send popups away."""
    cancel = page.named("Cancel", "button")
    if cancel:
        return click(cancel)
    return _fill_all(page, list(zip(page.of("textbox"), quoted(goal), strict=False)))


def date(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Write a date."""
    match = re.search(r"(\d+)/(\d+)/(\d+)", goal)
    assert match is not None
    month, day, year = match.groups()
    return _fill_all(page, [(page.of(*_FIELDS)[0], f"{year}-{month:0>2}-{day:0>2}")])


def time(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Write a time of day."""
    match = re.search(r"(\d+):(\d+) ([AP])M", goal)
    assert match is not None
    hour = int(match[1]) % 12 + (12 if match[3] == "P" else 0)
    return _fill_all(page, [(page.of(*_FIELDS)[0], f"{hour:02}:{match[2]}")])


def calendar(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Choose a date in a calendar that opens."""
    match = re.search(r"(\d+)/(\d+)/(\d+)", goal)
    assert match is not None
    month, day, year = (int(part) for part in match.groups())
    field = page.of("textbox")[0]
    if field.value == f"{month:02}/{day:02}/{year}":
        return submit(page)
    shown = re.search(rf"({'|'.join(_MONTHS)}) (\d{{4}})", "\n".join(page.lines))
    if shown is None:
        return click(field)
    distance = (year - int(shown[2])) * 12 + month - 1 - _MONTHS.index(shown[1])
    name = str(day) if distance == 0 else ("Next" if distance > 0 else "Prev")
    wanted = page.named(name, "link")
    return click(wanted) if wanted else submit(page)


def copy(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Copy a field's text into the answer with the keyboard."""
    answer = page.handle("#answer-input")
    sources = [field for field in page.of("textbox") if not field.has("#answer-input")]
    source = sources[ordinal(goal) - 1]
    assert answer is not None
    plan = (
        click(source),
        press("Control+a"),
        press("Control+c"),
        click(answer),
        press("Control+v"),
    )
    return plan[len(past)] if len(past) < len(plan) else submit(page)


def word(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Write the nth word of the paragraph."""
    words = re.findall(r"[\w-]+", " ".join(page.plain()))
    return _fill_all(page, [(page.of("textbox")[0], words[ordinal(goal) - 1])])


def table(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Write values of a table that a task or labels ask for."""
    cells = dict(line.split(" | ", 1) for line in page.lines if " | " in line)
    match = re.search(r"value of (.*) into", goal)
    fields = page.of("textbox")
    labels = [match[1]] if match else [page.lines[f.line - 1].removesuffix(":") for f in fields]
    return _fill_all(page, [(f, cells[label]) for f, label in zip(fields, labels, strict=False)])


def letters(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Write the text that is shown letter by letter."""
    return _fill_all(page, [(page.of("textbox")[0], "".join(page.plain()[0].split()))])


def total(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Solve a sum or an equation."""
    shown = "\n".join(page.lines)
    field = page.of("textbox")[0]
    sum_ = re.search(r"(-?\d+) ([-+x]) (-?\d+) = ", shown)
    if sum_:
        one, other = int(sum_[1]), int(sum_[3])
        result = {"+": one + other, "-": one - other, "x": one * other}[sum_[2]]
        return _fill_all(page, [(field, str(result))])
    equation = re.search(r"(x|-?\d+) ([-+]) (x|-?\d+) = (x|-?\d+)", shown)
    assert equation is not None
    left, sign, right, result_text = equation.groups()
    for candidate in range(-200, 201):
        values = [candidate if part == "x" else int(part) for part in (left, right, result_text)]
        if values[0] + (values[1] if sign == "+" else -values[1]) == values[2]:
            return _fill_all(page, [(field, str(candidate))])
    return submit(page)


def last_word(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Write the last word of a text area."""
    area = page.of("textbox")[0]
    words = re.findall(r"[\w-]+", area.value)
    return _fill_all(page, [(page.of("textbox")[1], words[-1])])


def scroll(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Scroll a text area to an end, then fill in and hand in what is asked for."""
    fields = page.of("textbox")
    if not past:
        down = -100_000 if "to the top" in goal else 100_000
        return ToolCall("scroll", {"ref": fields[0].ref, "dy": down})
    names = quoted(goal)
    if len(fields) > 1 and names and fields[1].value != names[0]:
        return fill(fields[1], names[0])
    said = re.search(r"[Cc]lick the (\w+) button", goal)
    name = said[1] if said else names[-1] if names else ""
    wanted = page.named(name, "button")
    return click(wanted) if wanted else submit(page)


def autocomplete(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Write the beginning and choose a suggestion with the right end."""
    parts = quoted(goal)
    field = page.of("textbox")[0]
    if len(past) == 0:
        return fill(field, parts[0])
    end = parts[1] if len(parts) > 1 else ""
    for element in page.elements:
        name = element.name
        is_item = element.role in ("ul", "li", "div", "menuitem", "option")
        if is_item and name.startswith(parts[0]) and name.endswith(end) and len(past) < 2:
            return click(element)
    return submit(page)


def spinner(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Turn a spinner to a number with the arrow keys; typing is not taken."""
    number = re.search(r"-?\d+", goal)
    assert number is not None
    field = page.of("spinbutton")[0]
    distance = int(number[0]) - int(field.value or 0)
    if not distance:
        return submit(page)
    if not field.has("focused"):
        return click(field)
    return press("ArrowUp" if distance > 0 else "ArrowDown")


def slider(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Move sliders to numbers: a jump to the near end of the track, then single steps."""
    numbers = [
        int(number) for number in re.findall(r"-?\d+", re.sub(r"\d+(st|nd|rd|th)", "", goal))
    ]
    handles = [each for each in page.elements if each.has(".ui-slider-handle")]
    for handle, number in zip(handles, numbers, strict=False):
        reading = next(
            (line for line in page.lines[handle.line + 1 :] if re.fullmatch(r"-?\d+", line)), "0"
        )
        distance = number - int(reading)
        if distance:
            if not handle.has("focused"):
                return click(handle)
            return press("ArrowRight" if distance > 0 else "ArrowLeft")
    boxes = page.of("checkbox")
    if boxes and "checkbox" in goal and not boxes[ordinal(goal) - 1].has("checked"):
        return click(boxes[ordinal(goal) - 1])
    return submit(page)


def sequence(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Check a radio button or box, and write into one of several fields."""
    ordinals = [int(number) for number in re.findall(r"(\d+)(?:st|nd|rd|th)", goal)]
    radio = page.of("radio")[ordinals[0] - 1]
    if not radio.has("checked"):
        return click(radio)
    return _fill_all(page, [(page.of("textbox")[ordinals[1] - 1], quoted(goal)[0])])


def dropdown(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Choose from a list and click a button."""
    match = re.search(r"Choose (.*) from the dropdown", goal)
    chosen = page.of("combobox")[0]
    item = page.named(match[1], "li") if match else None
    if item:
        return click(item)
    if match and chosen.value != match[1]:
        return ToolCall("select", {"ref": chosen.ref, "option": match[1]})
    wanted = page.named(quoted(goal)[0], "button")
    return click(wanted) if wanted else submit(page)


def movies(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Fill a search form whose labels come in any order."""
    match = re.search(r"for (.*) movies directed by (.*) from year (\d+)", goal)
    assert match is not None
    values = {"genre": match[1], "director": match[2], "year": match[3]}
    shown = "\n".join(page.lines).lower()
    found = list(re.findall(r"\b(genre|director|year)\b", shown))
    return _fill_all(
        page,
        [(field, values[name]) for field, name in zip(page.of("textbox"), found, strict=False)],
    )
