"""Scripts for tasks done by clicking what the goal names."""

from collections.abc import Mapping

from pivot_agents.miniwob.scene import Scene, Script, click, use
from pivot_agents.miniwob.screen import Item, LostError
from pivot_envs import ToolCall


def press_named(scene: Scene) -> ToolCall:
    """Press a button that the goal names in quotation marks."""
    name = scene.quoted[0]
    name = "Close" if name == "x" and "dialog" in scene.goal else name
    matching = scene.screen.all(where=lambda item: item.name == name)
    return use(scene, scene.choose("button", matching))


def press_only(scene: Scene) -> ToolCall:
    """Press the only button."""
    return use(scene, scene.screen.first("button"))


def press_one(scene: Scene) -> ToolCall:
    """Press button ONE."""
    return use(scene, scene.screen.named("ONE"))


def press_in_sequence(scene: Scene) -> ToolCall:
    """Press button ONE, then button TWO."""
    is_pressed = any(item.name == "ONE" for item in scene.used)
    return use(scene, scene.screen.named("TWO" if is_pressed else "ONE"))


def click_link(scene: Scene) -> ToolCall:
    """Click a link in the text."""
    name = scene.quoted[0]
    return click(scene.choose("link", scene.screen.all(where=lambda item: item.name == name)))


def click_widget(scene: Scene) -> ToolCall:
    """Click a widget of a kind."""
    kind = scene.quoted[0]
    fields = scene.screen.all("textbox", where=lambda item: item.is_multiline == (kind != "text"))
    widgets = fields if kind.startswith("text") else scene.screen.all(kind)
    return click(scene.choose("widget", widgets))


def open_tab(scene: Scene) -> ToolCall:
    """Open the tab that the goal names."""
    (name,) = scene.said(r"Click on (.*)\.")
    return click(scene.screen.named(name, "link"))


def find_in_tabs(scene: Scene) -> ToolCall:
    """Look through tabs until the link is there."""
    return _find_link(scene, scene.screen.all("link"), opened=0)


def find_in_sections(scene: Scene) -> ToolCall:
    """Open sections until the link is there."""
    sections = scene.screen.all("tab", where=lambda item: item.name.startswith("Section"))
    return _find_link(scene, sections, opened=None)


def _find_link(scene: Scene, places: list[Item], opened: int | None) -> ToolCall:
    """Click the link if it is shown, else open a place that was not opened yet.

    Args:
        scene: What is seen.
        places: Tabs or sections.
        opened: Which of them is open at the beginning.
    """
    name = scene.quoted[0]
    links = scene.screen.all("span", where=lambda item: item.name == name)
    if links:
        return click(scene.choose("link", links))
    labels = [item.name for item in places]
    seen = {item.name for item in scene.used}
    closed = [label for index, label in enumerate(labels) if index != opened and label not in seen]
    if not closed:
        raise LostError("every part was opened")
    order = scene.shuffled("parts", labels) if scene.chance("any order", 0.5) else labels
    label = next(label for label in order if label in closed)
    return click(places[labels.index(label)])


def expand_section(scene: Scene) -> ToolCall:
    """Open the only section, then submit."""
    section = scene.screen.first("tab")
    if not any(item.role == "tab" for item in scene.used):
        return click(section)
    # The page takes Enter on its Submit button for the section's.
    return click(scene.screen.named("Submit"))


SCRIPTS: Mapping[str, Script] = {
    "click-button": press_named,
    "click-button-sequence": press_in_sequence,
    "click-collapsible": expand_section,
    "click-collapsible-2": find_in_sections,
    "click-collapsible-2-nodelay": find_in_sections,
    "click-collapsible-nodelay": expand_section,
    "click-dialog": press_named,
    "click-dialog-2": press_named,
    "click-link": click_link,
    "click-tab": open_tab,
    "click-tab-2": find_in_tabs,
    "click-tab-2-easy": find_in_tabs,
    "click-tab-2-hard": find_in_tabs,
    "click-tab-2-medium": find_in_tabs,
    "click-test": press_only,
    "click-test-2": press_one,
    "click-test-transfer": press_one,
    "click-widget": click_widget,
    "unicode-test": press_named,
}
