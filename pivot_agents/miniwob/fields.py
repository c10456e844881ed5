"""Scripts for tasks done by writing into fields."""

import re
from collections.abc import Mapping

from pivot_agents.miniwob.scene import Scene, Script, click, fill_in, press, use, write
from pivot_agents.miniwob.screen import Item, LostError
from pivot_envs import ToolCall


def _fill_only(scene: Scene, text: str) -> ToolCall:
    """Write into the only field that can be written into, then submit."""
    field = scene.screen.first("textbox", where=lambda item: item.handle != "#to-copy")
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


def search_movies(scene: Scene) -> ToolCall:
    """Fill in a form whose fields come in any order."""
    genre, director, year = scene.said(r"Search for (.*) movies directed by (.*) from year (\d+)")
    fields = scene.screen.all("textbox")
    lines = scene.screen.lines
    wanted = []
    for field in fields:
        label = _label(field, lines)
        for word, text in (("genre", genre), ("director", director), ("year", year)):
            if word in label:
                wanted.append((field, text))
    if len(wanted) != 3:
        raise LostError("the form has no field for each part")
    button = scene.screen.first(where=lambda item: item.name in ("Search", "Submit"))
    return fill_in(scene, wanted, button)


def _label(field: Item, lines: tuple[str, ...]) -> str:
    """Return the lower-case label of a field: its name, or text before or behind it."""
    return (field.name or field.handle or field.before).lower()


def copy_text(scene: Scene) -> ToolCall:
    """Copy a text from one field into another."""
    match = re.search(r"from the (\d+)", scene.goal)
    sources = scene.screen.all("textbox", where=lambda item: item.handle != "#answer-input")
    source = sources[int(match[1]) - 1 if match else 0]
    target = scene.screen.first("textbox", where=lambda item: item.handle == "#answer-input")
    button = scene.screen.named("Submit")
    if source.value.endswith("…") or scene.chance("clipboard", 0.6):
        return _paste(scene, source, target) or use(scene, button)
    return fill_in(scene, [(target, source.value)], button)


def _paste(scene: Scene, source: Item, target: Item) -> ToolCall | None:
    """Return a step of copying by keys, None when it is done."""
    if target.value:
        return None
    keys = [step.call.arguments.get("key") for step in scene.steps if step.call.name == "press"]
    if "Control+c" in keys:
        return press("Control+v") if "focused" in target.states else click(target)
    if "focused" not in source.states:
        return click(source)
    return press("Control+c" if "Control+a" in keys else "Control+a")


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
    value = field.value
    if value.startswith(start) and value.endswith(end) and _is_taken(scene, value):
        return use(scene, scene.screen.named("Submit"))
    suggestions = _suggestions(scene)
    fitting = [text for text in suggestions if text.startswith(start) and text.endswith(end)]
    if not fitting:
        call = write(scene, field, start)
        if call is None:
            raise LostError("no suggestion fits")
        return call
    chosen = scene.choose("suggestion", fitting)
    if scene.chance("types all", 0.4):
        return ToolCall("fill", {"ref": field.ref, "text": chosen})
    downs = sum(step.call.arguments.get("key") == "ArrowDown" for step in scene.steps)
    return press("ArrowDown" if downs <= suggestions.index(chosen) else "Enter")


def _suggestions(scene: Scene) -> list[str]:
    """Return the entries of the list below the field."""
    lines = scene.screen.lines
    starts = [index for index, line in enumerate(lines) if re.search(r"\] ul #ui-id", line)]
    if not starts:
        return []
    below = [re.sub(r"^(- )?(\[\d+\] \S+ )?", "", line) for line in lines[starts[0] + 1 :]]
    names = [text.strip('"') for text in below if text not in ("-", "")]
    return [name for name in names if "available, use" not in name]


def _is_taken(scene: Scene, value: str) -> bool:
    """Tell whether a field's text was chosen from suggestions, by keys or letter by letter."""
    last = scene.steps[-1].call if scene.steps else None
    if last is None:
        return False
    return any(
        step.call.arguments.get("key") == "Enter" or step.call.arguments.get("text") == value
        for step in scene.steps
        if value in _suggestions_of(step.screen.lines)
    )


def _suggestions_of(lines: tuple[str, ...]) -> list[str]:
    return [line for line in lines for line in (line.strip('- "'),) if line]


SCRIPTS: Mapping[str, Script] = {
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
