"""Skills of writing: forms, dates, sums, tables, searches."""

import itertools
import re
from collections.abc import Sequence

from pivot_agents.web_expert.page import (
    Element,
    PageText,
    click,
    clicks,
    drag,
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
_WORDS = frozenset(
    ["terminal", "type", "help", "for", "a", "list", "of", "available", "commands", "login", "ls"]
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


def guess(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Find a number by halving what is left."""
    field = page.of("spinbutton")[0]
    low, high = _bounds(page, past)
    middle = (low + high) // 2
    return submit(page) if field.value == str(middle) else fill(field, str(middle))


def _bounds(page: PageText, past: Sequence[ToolCall]) -> tuple[int, int]:
    """Return what is left, as the order of earlier guesses tells: each halved the rest."""
    guesses = [int(call.arguments["text"]) for call in past if call.name == "fill"]
    low, high = 0, 9
    for earlier, later in itertools.pairwise(guesses):
        low, high = (earlier + 1, high) if later > earlier else (low, earlier - 1)
    hint = re.search(r"number is (higher|lower) than\s*(\d+)", "\n".join(page.lines))
    if hint and guesses and int(hint[2]) == guesses[-1]:
        low, high = (guesses[-1] + 1, high) if hint[1] == "higher" else (low, guesses[-1] - 1)
    return low, high


def generate(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Draw numbers until one fits."""
    shown = next((int(line) for line in page.lines if re.fullmatch(r"-?\d+", line)), None)
    limit = re.search(r"(greater|less) than (-?\d+)", goal)
    button = page.named("Generate", "button")
    assert button is not None
    if shown is None:
        return click(button)
    if limit:
        fits = shown > int(limit[2]) if limit[1] == "greater" else shown < int(limit[2])
    else:
        fits = shown % 2 == (0 if "even" in goal else 1)
    return submit(page) if fits else click(button)


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


def search(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Search, and click the nth result, three to a page."""
    field = page.of("textbox")[0]
    if field.value != quoted(goal)[0]:
        return fill(field, quoted(goal)[0])
    links = [each for each in page.of("link") if not re.fullmatch(r"[<>\d]+", each.name)]
    if not links:
        return submit(page)
    number = ordinal(goal) - 1
    pages_seen = len(clicks(past)) - 1
    if number // 3 > pages_seen:
        onward = page.named(">", "link")
        return click(onward) if onward else submit(page)
    return click(links[number % 3])


def drag_to_position(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Drag an item of a list to a position."""
    match = re.match(r"Drag (\S+) ", goal)
    items = page.of("li")
    assert match is not None
    item = next(each for each in items if each.name == match[1])
    index = items.index(item)
    if "up by one" in goal:
        target = index - 1
    elif "down by one" in goal:
        target = index + 1
    else:
        target = ordinal(goal) - 1
    return drag(item.ref, to_ref=items[target].ref, to_y=2 if target < index else 18)


def sort(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Sort a list of numbers by dragging the first that is out of place."""
    items = page.of("li")
    numbers = [int(each.name) for each in items]
    for index, number in enumerate(sorted(numbers)):
        if numbers[index] != number:
            return drag(items[numbers.index(number)].ref, to_ref=items[index].ref, to_y=2)
    return submit(page)


def _is_file_of(name: str, extension: str) -> bool:
    """Tell whether a word of a listing is a file with the extension, or without any."""
    if extension:
        return name.endswith(extension) and name != extension
    return name.isalpha() and name.islower() and name not in _WORDS


def terminal(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """List the files, and remove one with the extension."""
    match = re.search(r"extension (\.\S+)", goal)
    field = page.of("textbox")[0]
    plan = len(past)
    if plan in (0, 2):
        name = next(
            (
                name
                for line in page.lines
                for name in line.split()
                if _is_file_of(name, match[1] if match else "")
            ),
            "",
        )
        return fill(field, "ls" if plan == 0 else f"rm {name}")
    return press("Enter")
