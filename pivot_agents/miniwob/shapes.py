"""Scripts for tasks about colours, shapes and places in drawings."""

import colorsys
import re
from collections.abc import Mapping

from pivot_agents.miniwob.scene import Scene, Script, click, press, submit, use
from pivot_agents.miniwob.screen import Item, Shape
from pivot_envs import ToolCall

_COLOURS = {
    "aqua": "#00ffff",
    "black": "#000000",
    "blue": "#0000ff",
    "cyan": "#00ffff",
    "gold": "#ffd700",
    "gray": "#808080",
    "grey": "#808080",
    "green": "#008000",
    "lime": "#00ff00",
    "magenta": "#ff00ff",
    "maroon": "#800000",
    "navy": "#000080",
    "olive": "#808000",
    "orange": "#ffa500",
    "pink": "#ffc0cb",
    "purple": "#800080",
    "red": "#ff0000",
    "silver": "#c0c0c0",
    "teal": "#008080",
    "white": "#ffffff",
    "yellow": "#ffff00",
}
_COLLAPSED_PX = 3
_HUES = {"red": 0, "green": 1, "blue": 2}
_KINDS = {"rect": "rectangle", "circle": "circle", "polygon": "triangle"}
_LARGE_PX = 16


def click_colour(scene: Scene) -> ToolCall:
    """Click the box of a colour."""
    (name,) = scene.said(r"Click on the (\w+) colored box")
    return click(scene.screen.first(where=lambda item: item.colour == _COLOURS[name]))


def click_shades(scene: Scene) -> ToolCall:
    """Click all boxes of a hue, then submit."""
    (name,) = scene.said(r"shades of (\w+)")
    boxes = scene.screen.all("span", where=lambda item: _hue(item.colour) == _HUES[name])
    order = scene.shuffled("boxes", [box.ref for box in boxes])
    order = order if scene.chance("any order", 0.5) else sorted(order)
    left = [box for box in boxes if ".selected" not in box.marks]
    return click(min(left, key=lambda box: order.index(box.ref))) if left else submit(scene)


def write_colour(scene: Scene) -> ToolCall:
    """Write a colour's hexadecimal value into the colour picker's field, then submit."""
    (name,) = scene.said(r"Select (\w+) with")
    field = scene.screen.first("textbox")
    value = _COLOURS[name][1:].upper()
    if field.value.upper() == value:
        # The picker lies over the button, which Tab leads to.
        return press("Tab" if "focused" in field.states else "Enter")
    return ToolCall("fill", {"ref": field.ref, "text": value})


def open_pie(scene: Scene) -> ToolCall:
    """Open a pie menu, then click one of its pieces."""
    name = scene.quoted[0]
    texts = [shape for shape in scene.screen.shapes if shape.kind == "text"]
    piece = next(shape for shape in texts if shape.text == name)
    if max(piece.width, piece.height) > _COLLAPSED_PX:
        return click(scene.screen.by_ref(piece.ref))
    return click(scene.screen.by_ref(texts[-1].ref))


def _hue(colour: str) -> int:
    """Return which of red (0), green (1) and blue (2) a colour is nearest to."""
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return round(colorsys.rgb_to_hls(red, green, blue)[0] * 3) % 3


def _matches(shape: Shape, words: list[str]) -> bool:
    """Tell whether a shape is what words such as ``small red triangle`` say."""
    *adjectives, noun = words
    for word in adjectives:
        if word in ("small", "large"):
            size = max(shape.width, shape.height) if shape.kind != "text" else shape.height
            if (size >= _LARGE_PX) != (word == "large"):
                return False
        elif shape.colour != word:
            return False
    return noun in ("item", *_nouns(shape))


def _nouns(shape: Shape) -> tuple[str, str]:
    if shape.kind == "text":
        return shape.text, "digit" if shape.text.isdecimal() else "letter"
    return _KINDS[shape.kind], "shape"


def _shapes(scene: Scene) -> list[Shape]:
    return [shape for shape in scene.screen.shapes if shape.kind != "line"]


def click_shape(scene: Scene) -> ToolCall:
    """Click one of the shapes that fit a description."""
    (words,) = scene.said(r"Click on an? (.*)")
    fitting = [shape for shape in _shapes(scene) if _matches(shape, words.split())]
    return click(scene.screen.by_ref(scene.choose("shape", fitting).ref))


def count_shapes(scene: Scene) -> ToolCall:
    """Press the number of shapes that fit a description."""
    (words,) = scene.said(r"How many (.*)s are there")
    number = sum(_matches(shape, words.split()) for shape in _shapes(scene))
    return use(scene, scene.screen.named(str(number), "button"))


def identify_shape(scene: Scene) -> ToolCall:
    """Press what a shape is called."""
    shape = _shapes(scene)[0]
    noun = _nouns(shape)[1] if shape.kind == "text" else _nouns(shape)[0]
    name = {"digit": "Number"}.get(noun, noun.capitalize())
    return use(scene, scene.screen.named(name, "button"))


def click_in_order(scene: Scene) -> ToolCall:
    """Click numbers from the smallest to the greatest; after the first they are covered."""
    start = scene.steps[0].screen if scene.steps else scene.screen
    numbers = sorted(
        (shape for shape in start.shapes if shape.kind == "text"), key=lambda shape: int(shape.text)
    )
    covers = [shape for shape in scene.screen.shapes if shape.kind == "rect"]
    if not covers:
        return click(scene.screen.named(numbers[0].text, "text"))
    number = numbers[len(numbers) - len(covers)]
    nearest = min(covers, key=lambda rect: abs(rect.x - number.x) + abs(rect.y - number.y))
    return click(scene.screen.by_ref(nearest.ref))


def click_coordinate(scene: Scene) -> ToolCall:
    """Click a point of a grid."""
    (place,) = scene.said(r"coordinate (\(.*\))")
    return click(scene.screen.first("circle", where=lambda item: f"#{place}" in item.marks))


_WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


def drag_along(scene: Scene) -> ToolCall:
    """Drag a shape in a direction, then submit."""
    (way,) = scene.said(r"Drag the \w+ (\w+) then")
    if scene.count("drag"):
        return submit(scene)
    right, down = _WAYS[way]
    length = scene.choose("length", (10, 15, 20, 25, 30))
    shape = _shapes(scene)[0]
    return _drag(shape, right * length, down * length)


def _drag(shape: Shape, dx: int, dy: int) -> ToolCall:
    return ToolCall("drag", {"from_ref": shape.ref, "dx": dx, "dy": dy})


def sort_shapes(scene: Scene) -> ToolCall:
    """Drag shapes into the boxes where they belong, then submit."""
    shapes = [shape for shape in _shapes(scene) if shape.ref]
    boxes = [shape for shape in _shapes(scene) if not shape.ref and shape.colour == "none"]
    (wanted,) = scene.said(r"Drag all (\w+)")
    moves = []
    for place, shape in enumerate(shapes):
        fits = shape.colour == wanted or f"{_nouns(shape)[0]}s" == wanted
        if not fits and len(boxes) == 1:
            continue
        box = boxes[0] if fits else boxes[-1]
        # Side by side, so that none lies upon another.
        dx = box.x - shape.x + (place - len(shapes) // 2) * (box.width // (len(shapes) + 2))
        if not _is_inside(shape, box):
            moves.append((shape.ref, _drag(shape, dx, box.y - shape.y)))
    if not moves:
        return submit(scene)
    order = scene.shuffled("shapes", [shape.ref for shape in shapes])
    return min(moves, key=lambda move: order.index(move[0]))[1]


def _is_inside(shape: Shape, box: Shape) -> bool:
    return (
        abs(shape.x - box.x) * 2 < box.width - shape.width
        and abs(shape.y - box.y) * 2 < box.height - shape.height
    )


def drag_into_box(scene: Scene) -> ToolCall:
    """Drag the small box into the large one, then submit."""
    if scene.count("drag"):
        return submit(scene)
    small, large = scene.screen.named("s"), scene.screen.named("L")
    return ToolCall("drag", {"from_ref": small.ref, "to_ref": large.ref})


_CELLS = ("top", "center", "bottom"), ("left", "center", "right")
_STEPS = {"left": -1, "right": 1, "up": -3, "down": 3}


def drag_in_list(scene: Scene) -> ToolCall:
    """Drag an item of a list to a place."""
    name, where = scene.said(r"Drag (\w+) (.*)\.")
    items = scene.screen.all("li")
    start = [item.name for item in items].index(name)
    if match := re.match(r"to the (\d+)", where):
        end = int(match[1]) - 1
    elif where.startswith("to the"):
        end = 0 if where.endswith("top") else len(items) - 1
    else:
        end = start + (1 if where.startswith("down") else -1)
    return _drag_item(scene, items[start], items[end], is_back=end < start)


def _drag_item(scene: Scene, item: Item, target: Item, *, is_back: bool) -> ToolCall:
    """Drag an item before or behind another: to its near or its far end."""
    height = scene.choose("height", (1, 2, 3) if is_back else (16, 17, 18))
    return ToolCall("drag", {"from_ref": item.ref, "to_ref": target.ref, "to_y": height})


def drag_in_grid(scene: Scene) -> ToolCall:
    """Drag an item of a grid to a place."""
    name, where = scene.said(r"Drag (\w+) (.*)\.")
    items = scene.screen.all("li")
    start = [item.name for item in items].index(name)
    if match := re.match(r"(\w+) by one", where):
        end = start + _STEPS[match[1]]
    else:
        row, column, *_ = [*where.removeprefix("to the ").split(), "center"]
        end = 3 * _CELLS[0].index(row) + _CELLS[1].index(column)
    # Dropped left of the middle of another, an item comes before it; right of it, behind. Others
    # move up meanwhile where the way leads back to the left.
    is_left = end < start or end % 3 < start % 3
    side = {"to_x": 5, "to_y": 5} if is_left else {"to_x": 35, "to_y": 15}
    return ToolCall("drag", {"from_ref": items[start].ref, "to_ref": items[end].ref, **side})


def sort_numbers(scene: Scene) -> ToolCall:
    """Sort a list by dragging, from its top or from its bottom, then submit."""
    items = scene.screen.all("li")
    numbers = [int(item.name) for item in items]
    wanted = sorted(numbers)
    wrong = [place for place, number in enumerate(numbers) if number != wanted[place]]
    if not wrong:
        return submit(scene)
    if scene.chance("from the bottom", 0.4):
        end = wrong[-1]
        start = max(place for place in wrong if numbers[place] == wanted[end])
        return _drag_item(scene, items[start], items[end], is_back=False)
    end = wrong[0]
    start = min(place for place in wrong if numbers[place] == wanted[end])
    return _drag_item(scene, items[start], items[end], is_back=True)


def draw_line(scene: Scene) -> ToolCall:
    """Draw a line through a dot, then submit."""
    if scene.count("drag"):
        return submit(scene)
    (way,) = scene.said(r"Draw a (\w+) line")
    dot = next(shape for shape in _shapes(scene) if shape.kind == "circle")
    length = scene.choose("length", (28, 32, 36)) * scene.choose("direction", (1, -1))
    dx, dy = (length, 0) if way == "horizontal" else (0, length)
    drawing = scene.screen.first("drawing")
    # Through the dot, but a little above and left of its centre: the page measures from there.
    start = {"from_x": dot.x - 2 - dx // 2, "from_y": dot.y - 2 - dy // 2}
    return ToolCall("drag", {"from_ref": drawing.ref, "dx": dx, "dy": dy, **start})


SCRIPTS: Mapping[str, Script] = {
    "ascending-numbers": click_in_order,
    "click-color": click_colour,
    "click-pie": open_pie,
    "click-pie-nodelay": open_pie,
    "click-shades": click_shades,
    "click-shape": click_shape,
    "count-shape": count_shapes,
    "drag-box": drag_into_box,
    "drag-circle": drag_along,
    "drag-items": drag_in_list,
    "drag-items-grid": drag_in_grid,
    "drag-shapes": sort_shapes,
    "drag-shapes-2": sort_shapes,
    "drag-single-shape": drag_along,
    "drag-sort-numbers": sort_numbers,
    "draw-line": draw_line,
    "grid-coordinate": click_coordinate,
    "identify-shape": identify_shape,
    "use-colorwheel": write_colour,
}
