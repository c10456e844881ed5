"""Skills that take several looks: guessing, drawing, searching, sorting, a terminal."""

import itertools
import re
from collections.abc import Sequence

from pivot_agents.web_expert.page import (
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

_WORDS = frozenset(
    ["terminal", "type", "help", "for", "a", "list", "of", "available", "commands", "login", "ls"]
)


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
