"""Scripts for tasks done by writing into fields."""

import functools
import re
from collections.abc import Callable, Mapping

from pivot_agents.miniwob.scene import Scene, Script, click, fill_in, press, use, write
from pivot_agents.miniwob.screen import Item, LostError, Screen
from pivot_agents.miniwob.widgets import pick_date
from pivot_envs import ToolCall


def _fill_only(scene: Scene, text: str) -> ToolCall:
    """Write into the only field that can be written into, then submit."""
    field = scene.screen.first("textbox", where=lambda item: "#to-copy" not in item.marks)
    return fill_in(scene, [(field, text)], scene.screen.named("Submit"))


def enter_quoted(scene: Scene) -> ToolCall:
    """Enter the quoted text."""
    return _fill_only(scene, scene.quoted[0])


def enter_in_case(scene: Scene) -> ToolCall:
    """Enter the quoted text in upper or lower case."""
    text = scene.quoted[0]
    return _fill_only(scene, text.upper() if "upper" in scene.goal else text.lower())


def enter_date(scene: Scene) -> ToolCall:
    """Enter a date, in the form that the kind of field takes."""
    month, day, year = scene.said(r"(\d+)/(\d+)/(\d+)")
    # Browsers write a date field's value in the order of ISO 8601.
    return _fill_only(scene, f"{year}-{month}-{day}")


def focus_field(scene: Scene) -> ToolCall:
    """Put the focus into the field that the goal counts to."""
    match = re.search(r"(\d+)(?:st|nd|rd|th) input", scene.goal)
    fields = scene.screen.all("textbox")
    number = int(match[1]) if match else 1
    tabs = len(scene.steps)
    if scene.chance("keyboard", 0.4) and tabs < number and number == 1:
        return press("Tab")
    return click(fields[number - 1])


def enter_password(scene: Scene) -> ToolCall:
    """Enter the password twice."""
    fields = scene.screen.all("textbox")[:2]
    password = scene.quoted[0]
    return fill_in(scene, [(field, password) for field in fields], scene.screen.named("Submit"))


def log_in(scene: Scene) -> ToolCall:
    """Enter name and password, and put popups aside."""
    popup = scene.screen.all("button", where=lambda item: item.name == "Cancel")
    if popup:
        return use(scene, popup[0])
    name, password = scene.screen.all("textbox")[:2]
    button = scene.screen.first("button", where=lambda item: item.name in ("Login", "OK"))
    user, secret = scene.quoted[:2]
    return fill_in(scene, [(name, user), (password, secret)], button)


_PARTS = {"genre": "genre", "director": "director", "year": "year", "date": "year"}


def search_movies(scene: Scene) -> ToolCall:
    """Fill in a form whose fields come in any order, with labels before or below them."""
    genre, director, year = scene.said(r"Search for (.*) movies directed by (.*) from year (\d+)")
    texts = {"genre": genre, "director": director, "year": year}
    fields = scene.screen.all("textbox")
    lines = scene.screen.lines
    labels_follow = fields[0].line == 0 and not fields[0].before
    wanted = []
    for field in fields:
        label = lines[field.line + 1] if labels_follow else field.name or field.before
        parts = [part for word, part in _PARTS.items() if word in label.lower()]
        wanted += [(field, texts[part]) for part in parts]
    if len(wanted) != len(texts):
        raise LostError("the form has no field for each part")
    return fill_in(scene, wanted, scene.screen.first(where=_starts_search))


def _starts_search(item: Item) -> bool:
    return item.name in ("Search", "Submit")


def copy_text(scene: Scene) -> ToolCall:
    """Copy a text from one field into another, with the keys for it: it may end in a blank."""
    match = re.search(r"from the (\d+)", scene.goal)
    sources = scene.screen.all("textbox", where=lambda item: "#answer-input" not in item.marks)
    source = sources[int(match[1]) - 1 if match else 0]
    target = scene.screen.first("textbox", where=lambda item: "#answer-input" in item.marks)
    if target.value:
        return use(scene, scene.screen.named("Submit"))
    keys = [step.call.arguments.get("key") for step in scene.steps if step.call.name == "press"]
    if "Control+c" in keys:
        return press("Control+v") if "focused" in target.states else _go(scene, target)
    if "focused" not in source.states:
        return _go(scene, source)
    # Tab selects a field's text on its way.
    has_text = scene.steps[-1].call.arguments.get("key") in ("Tab", "Control+a")
    return press("Control+c" if has_text else "Control+a")


def _go(scene: Scene, field: Item) -> ToolCall:
    """Put the focus into a field, with Tab if it is the next one and so drawn."""
    fields = scene.screen.all("textbox")
    focused = scene.screen.focused
    place = fields.index(focused) if focused in fields else -1
    is_next = fields.index(field) == place + 1 and (place >= 0 or not scene.steps)
    return press("Tab") if is_next and scene.chance("tab", 0.4) else click(field)


def search_and_pick(scene: Scene) -> ToolCall:
    """Search, go to the page of the result, and open it."""
    words, number = scene.said(r'enter "(.*)" and press.* (\d+)\w\w search result')
    field = scene.screen.first("textbox")
    results = scene.screen.all("link", where=lambda item: _is_result(item, scene))
    page = (int(number) - 1) // 3 + 1
    pages = [item.name for item in scene.used if item.role == "link"]
    current = _page(pages)
    if not results or field.value != words:
        return fill_in(scene, [(field, words)], scene.screen.named("Search"))
    if current == page:
        return click(results[(int(number) - 1) % 3])
    if scene.chance("page by page", 0.5):
        return click(scene.screen.named(">" if current < page else "<", "link"))
    return click(scene.screen.named(str(page), "link"))


def _is_result(item: Item, scene: Scene) -> bool:
    return not re.fullmatch(r"\d+|[<>]", item.name)


def _page(clicked: list[str]) -> int:
    """Return the page of results that links clicked so far led to."""
    page = 1
    for name in clicked:
        page = int(name) if name.isdecimal() else page + {">": 1, "<": -1}.get(name, 0)
    return page


def complete(scene: Scene) -> ToolCall:
    """Begin a word, read the suggestions, and take one that ends as wanted."""
    start, *ends = scene.quoted
    end = ends[0] if ends else ""
    field = scene.screen.first("textbox")

    def fits(text: str) -> bool:
        return text.startswith(start) and text.endswith(end)

    return take_suggestion(scene, field, start, fits) or use(scene, scene.screen.named("Submit"))


def take_suggestion(
    scene: Scene, field: Item, start: str, fits: Callable[[str], bool]
) -> ToolCall | None:
    """Return a step towards a field with one of the suggestions that it makes, None if it is there.

    Args:
        scene: What is seen.
        field: The field.
        start: What brings the suggestions.
        fits: Tells which suggestions are wanted.
    """
    shown = _suggestions(scene.screen)
    seen = shown.union(*(_suggestions(step.screen) for step in scene.steps))
    fitting = sorted(text for text in seen if fits(text))
    if field.value in fitting:
        if not shown or "focused" not in field.states:
            return None
        is_walking = scene.steps[-1].call.arguments.get("key") == "ArrowDown"
        return press("Enter" if is_walking else scene.choose("close", ("Escape", "Tab")))
    if not fitting:
        call = write(scene, field, start)
        if call is None:
            raise LostError("no suggestion fits")
        return call
    return _take(scene, field, scene.choose(f"suggestion for {start}", fitting))


_MOST_DOWNS = 6


def _take(scene: Scene, field: Item, text: str) -> ToolCall:
    """Take a suggestion: click it, walk down to it, or type it."""
    entries = scene.screen.all("div", "li", where=lambda item: item.name == text)
    way = scene.choose("way", ("click", "keys", "type"))
    if entries and way == "click":
        return click(entries[0])
    if way == "type" or not entries or len(_suggestions(scene.screen)) > _MOST_DOWNS:
        return ToolCall("fill", {"ref": field.ref, "text": text})
    return press("ArrowDown")


def _suggestions(screen: Screen) -> set[str]:
    """Return the entries of the list below a field."""
    lists = [item.line for item in screen.all("ul") if "ui-id" in item.rest]
    entries = screen.all("div", "li", where=lambda item: bool(lists) and item.line > lists[0])
    return {item.name for item in entries if item.name}


def book_flight(scene: Scene) -> ToolCall:
    """Search for flights, then book the cheapest or the shortest."""
    wish, start, end, date = scene.said(r"Book the (\w+) .* from: (.*) to: (.*) on (\d+/\d+/\d+)")
    if not scene.screen.all("button", where=lambda item: item.name == "Search"):
        return _book(scene, wish)
    origin, target, day = scene.screen.all("textbox")
    for field, text in scene.shuffled("fields", [(origin, start), (target, end)]):
        call = take_suggestion(scene, field, text, functools.partial(_has, text))
        if call is not None:
            # A calendar that Tab has opened lies over the fields.
            is_covered = bool(scene.screen.all("link", where=lambda item: item.name == "Next"))
            return press("Escape") if is_covered else call
    return pick_date(scene, day, date) or use(scene, scene.screen.named("Search"))


def _has(text: str, suggestion: str) -> bool:
    return text in suggestion


def _book(scene: Scene, wish: str) -> ToolCall:
    prices = scene.screen.all(where=lambda item: "$" in item.name)
    lengths = [
        int(hours) * 60 + int(minutes)
        for hours, minutes in re.findall(r"(\d+)h (\d+)m", scene.screen.text)
    ]
    costs = [int(re.sub(r"\D", "", item.name)) for item in prices]
    values = costs if wish == "cheapest" else lengths
    return click(prices[values.index(min(values))])


SCRIPTS: Mapping[str, Script] = {
    "book-flight": book_flight,
    "book-flight-nodelay": book_flight,
    "copy-paste": copy_text,
    "copy-paste-2": copy_text,
    "enter-date": enter_date,
    "enter-password": enter_password,
    "enter-text": enter_quoted,
    "enter-text-2": enter_in_case,
    "enter-text-dynamic": enter_quoted,
    "focus-text": focus_field,
    "focus-text-2": focus_field,
    "login-user": log_in,
    "login-user-popup": log_in,
    "multi-layouts": search_movies,
    "multi-orderings": search_movies,
    "search-engine": search_and_pick,
    "use-autocomplete": complete,
    "use-autocomplete-nodelay": complete,
}
