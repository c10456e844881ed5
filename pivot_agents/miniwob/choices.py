"""Scripts for tasks done by choosing from lists and boxes."""

from collections.abc import Iterable, Mapping

from pivot_agents.miniwob.scene import Scene, Script, click, submit, use
from pivot_envs import ToolCall

_MEANINGS = tuple(
    frozenset(words.split())
    for words in (
        "big large huge enormous gigantic",
        "small tiny little mini petite",
        "red scarlet crimson vermillion",
        "happy cheerful joyful gleeful delighted",
        "sad unhappy sorrowful miserable tragic",
        "angry mad furious irritated",
        "evil wicked immoral sinful corrupt depraved",
        "wrong incorrect mistaken erroneous",
        "real genuine actual",
        "strange odd peculiar unusual weird",
        "stop cease halt end finish",
        "scared terrified panicked fearful frightened afraid",
        "quiet calm peaceful serene mild",
        "old aged archaic",
        "love like adore favor",
        "kill murder assassinate",
        "keep retain preserve sustain maintain",
        "hide conceal camouflage",
        "hate despise loathe detest dislike",
        "funny humorous amusing comical laughable",
        "fat fleshy plump chubby",
        "stupid dumb dull unwise",
        "delicious savory delectable appetizing",
        "cut slice carve chop",
        "brave courageous fearless",
        "begin start initiate launch",
        "answer reply response",
        "television televisions TV TVs",
        "house home houses homes",
        "fire flame fires flames",
        "pig pork swine",
        "rabbit rabbits bunny bunnies",
        "car cars automobile automobiles vehicle vehicles",
    )
)


def _listed(scene: Scene, pattern: str) -> list[str]:
    names = scene.said(pattern)[0].split(", ")
    return [] if names == ["nothing"] else names


def _tick(scene: Scene, names: Iterable[str]) -> ToolCall:
    """Tick exactly the boxes of these names, then submit."""
    wanted = set(names)
    boxes = scene.screen.all("checkbox")
    wrong = [box for box in boxes if (box.name in wanted) != ("checked" in box.states)]
    if not wrong:
        return submit(scene)
    in_order = [box.name for box in boxes]
    order = scene.shuffled("boxes", in_order) if scene.chance("any order", 0.6) else in_order
    return use(scene, min(wrong, key=lambda box: order.index(box.name)))


def tick_named(scene: Scene) -> ToolCall:
    """Tick the boxes that the goal names."""
    return _tick(scene, _listed(scene, r"Select (.*) and click Submit"))


def tick_similar(scene: Scene) -> ToolCall:
    """Tick the boxes whose words mean the same as the goal's."""
    words = _listed(scene, r"similar to (.*) and click Submit")
    similar = set(words).union(*(group for group in _MEANINGS if group & set(words)))
    return _tick(scene, similar)


def choose_radio(scene: Scene) -> ToolCall:
    """Choose the option that the goal names."""
    (name,) = scene.said(r"Select (.*) and click Submit")
    option = scene.screen.named(name, "radio")
    return submit(scene) if "checked" in option.states else click(option)


def choose_listed(scene: Scene) -> ToolCall:
    """Choose from a list that folds out."""
    (name,) = scene.said(r"Select (.*) from the list")
    box = scene.screen.first("combobox")
    is_chosen = box.value == name and (scene.steps or scene.chance("leaves as is", 0.5))
    return submit(scene) if is_chosen else ToolCall("select", {"ref": box.ref, "option": name})


def choose_several(scene: Scene) -> ToolCall:
    """Choose several from a list."""
    names = _listed(scene, r"Select (.*) from the scroll list")
    box = scene.screen.first("listbox")
    chosen = box.value.split(", ")
    for name in scene.shuffled("options", names):
        if name not in chosen:
            return ToolCall("select", {"ref": box.ref, "option": name})
    return submit(scene)


SCRIPTS: Mapping[str, Script] = {
    "choose-list": choose_listed,
    "click-checkboxes": tick_named,
    "click-checkboxes-large": tick_named,
    "click-checkboxes-soft": tick_similar,
    "click-checkboxes-transfer": tick_named,
    "click-option": choose_radio,
    "click-scroll-list": choose_several,
}
