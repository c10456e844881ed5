"""Skills with drawn shapes: find, count, name, click and drag them."""

import re
from collections.abc import Sequence

from pivot_agents.web_expert.page import PageText, Shape, click, drag, submit
from pivot_envs import ToolCall

COLOURS = {
    "red": "#ff0000", "green": "#008000", "blue": "#0000ff", "yellow": "#ffff00",
    "orange": "#ffa500", "purple": "#800080", "pink": "#ffc0cb", "black": "#000000",
    "white": "#ffffff", "gray": "#808080", "grey": "#808080", "brown": "#a52a2a",
    "cyan": "#00ffff", "aqua": "#00ffff", "magenta": "#ff00ff", "lime": "#00ff00",
    "olive": "#808000", "navy": "#000080", "teal": "#008080", "maroon": "#800000",
}  # fmt: skip


def ascending(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click the numbers from low to high."""
    # After the first click the numbers are covered, in order.
    refs = [shape.ref for shape in page.shapes() if shape.ref is not None]
    return click(refs[0])


def named_shape(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click a shape of a size, colour and kind."""
    match = re.search(r"Click on an? (.*)", goal)
    words = match[1].split() if match else []
    found = next((shape for shape in page.shapes() if _fits(shape, words)), None)
    return click(found.ref) if found and found.ref else submit(page)


def count_shapes(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Count the shapes of a size, colour and kind."""
    match = re.search(r"How many (.*) are there", goal)
    words = [word.removesuffix("s") for word in match[1].split()] if match else []
    number = sum(_fits(shape, words) for shape in page.shapes())
    wanted = page.named(str(number), "button")
    return click(wanted) if wanted else submit(page)


def figure(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Name the kind of the only shape."""
    shape = page.shapes()[0]
    names = {"rect": "Rectangle", "circle": "Circle", "polygon": "Triangle"}
    name = names.get(shape.kind, "Number" if shape.text.isdigit() else "Letter")
    wanted = page.named(name, "button")
    return click(wanted) if wanted else submit(page)


def drag_into_box(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Drag shapes of a kind or colour into the box, or the others into the other box."""
    words = re.sub(r"^Drag all | into the .*$| shapes", "", goal).replace("shapes", "").split()
    words = [word.removesuffix("s") for word in words]
    boxes = [shape for shape in page.shapes() if shape.kind == "rect" and shape.ref is None]
    for shape in page.shapes():
        if shape.ref is None or shape.kind == "drawing":
            continue
        is_wanted = _fits(shape, words)
        if len(boxes) == 1 and not is_wanted:
            continue
        box = (
            min(boxes, key=lambda each: each.x)
            if is_wanted
            else max(boxes, key=lambda each: each.x)
        )
        if abs(shape.x - box.x) > box.width // 2 - 8 or abs(shape.y - box.y) > box.height // 2 - 8:
            return drag(shape.ref, dx=box.x - shape.x, dy=box.y - shape.y)
    return submit(page)


def drag_towards(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Drag the only shape in a direction."""
    if past:
        return submit(page)
    ways = {"up": (0, -30), "down": (0, 30), "left": (-30, 0), "right": (30, 0)}
    dx, dy = next(way for name, way in ways.items() if re.search(rf"\b{name}\b", goal))
    shape = next(shape for shape in page.shapes() if shape.ref is not None)
    assert shape.ref is not None
    return drag(shape.ref, dx=dx, dy=dy)


def drag_box(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Drag the small box onto the large one."""
    small, large = page.named("s"), page.named("L")
    return drag(small.ref, to_ref=large.ref) if not past and small and large else submit(page)


def circle_center(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click the middle of a drawn circle."""
    circle = next(shape for shape in page.shapes() if shape.kind == "circle")
    return submit(page) if past else _click_at(page, circle.x, circle.y)


def midpoint(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Click halfway between two points."""
    points = [shape for shape in page.shapes() if shape.kind == "circle"]
    if past:
        return submit(page)
    return _click_at(page, (points[0].x + points[1].x) / 2, (points[0].y + points[1].y) / 2)


def _click_at(page: PageText, x: float, y: float) -> ToolCall:
    drawing = page.of("drawing")[0]
    return ToolCall("click", {"ref": drawing.ref, "x": round(x), "y": round(y)})


def _fits(shape: Shape, words: Sequence[str]) -> bool:
    """Tell whether a shape is what words like small, red, triangle ask for."""
    if shape.kind in ("drawing", "line", "path"):
        return False
    large = max(shape.width, shape.height) > 13
    kinds = {"rectangle": "rect", "triangle": "polygon", "circle": "circle", "square": "rect"}
    for word in words:
        if word in ("small", "large"):
            fits = large == (word == "large")
        elif word in kinds:
            fits = shape.kind == kinds[word]
        elif word == "digit":
            fits = shape.text.isdigit()
        elif word == "letter":
            fits = shape.text.isalpha()
        elif word in COLOURS:
            fits = shape.colour in (word, COLOURS[word])
        else:
            fits = word in ("item", "shape", "one") or shape.text == word
        if not fits:
            return False
    return True
