"""Scripts for tasks whose answer has to be read or worked out."""

import re
from collections.abc import Mapping

from pivot_agents.miniwob.scene import Scene, Script, fill_in
from pivot_agents.miniwob.screen import LostError
from pivot_envs import ToolCall


def _enter(scene: Scene, text: str) -> ToolCall:
    field = scene.screen.first("textbox")
    return fill_in(scene, [(field, text)], scene.screen.named("Submit"))


def find_word(scene: Scene) -> ToolCall:
    """Enter the word that the goal counts to."""
    (number,) = scene.said(r"Find the (\d+)")
    words = scene.screen.lines[0].split()
    return _enter(scene, words[int(number) - 1].strip(".,"))


def _table(scene: Scene) -> dict[str, str]:
    rows = [line.split(" | ") for line in scene.screen.lines if line.count(" | ") == 1]
    return {name.strip(): text.strip() for name, text in rows}


def read_table(scene: Scene) -> ToolCall:
    """Enter one value of a table."""
    (name,) = scene.said(r"value of (.*) into")
    table = _table(scene)
    if name not in table:
        raise LostError(f"the table has no {name}")
    return _enter(scene, table[name])


def read_table_twice(scene: Scene) -> ToolCall:
    """Enter the values of a table that the labels ask for."""
    table = _table(scene)
    fields = [
        (field, table[field.before.rstrip(":")])
        for field in scene.screen.all("textbox")
        if field.before.rstrip(":") in table
    ]
    return fill_in(scene, fields, scene.screen.named("Submit"))


def do_arithmetic(scene: Scene) -> ToolCall:
    """Work out a sum, a difference or a product."""
    match = re.search(r"(-?\d+) ([-+x]) (-?\d+) =", scene.screen.text)
    if match is None:
        raise LostError("no problem on the screen")
    left, right = int(match[1]), int(match[3])
    results = {"+": left + right, "-": left - right, "x": left * right}
    return _enter(scene, str(results[match[2]]))


SCRIPTS: Mapping[str, Script] = {
    "find-word": find_word,
    "read-table": read_table,
    "read-table-2": read_table_twice,
    "simple-arithmetic": do_arithmetic,
}
