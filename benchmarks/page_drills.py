"""Page drills, the base model's exercises on made-up pages: find what the goal names.

A small model matches strings of a goal with those of a page only after many questions about the
same page, so a page is shown once and asked about several times. No page of MiniWoB++ is in them,
nor its lists of words, and they ask for single actions: what a task wants in which order is not
drilled.
"""

import random
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from pivot_envs import Message, ToolCall

_CLICKED = ("button", "checkbox", "radio", "link", "span", "div", "li", "menuitem", "tab", "label")
_ASKED = (
    'Click on "{}".',
    'Click on the "{}" button.',
    "Click {}.",
    "Select {}.",
    'Choose "{}".',
    'Find "{}".',
    'Open the item named "{}".',
    "Press the one labelled {}",
)
_ASKED_IN_ORDER = ("Click on {}.", "Select {}.", "Choose {} in this order.", "First to last: {}.")
_SEPARATORS = ("\n", "\n", " ", "\n- ", "\n-\n")
_SYLLABLES = re.findall(
    r"\S+", "an bel cor da el fi ga hal io ja ka li mo na or pe ri sa ta ul ve wen xi yo za"
)


@dataclass(frozen=True, slots=True)
class _Element:
    ref: int
    role: str
    name: str
    options: tuple[str, ...] = ()

    def line(self) -> str:
        """Return the element as an observation shows it."""
        if self.options:
            return f'[{self.ref}] {self.role} "{self.name}" options: {" | ".join(self.options)}'
        value = ' value=""' if self.role == "textbox" else ""
        return f'[{self.ref}] {self.role} "{self.name}"{value}'


def page_drill(words: Sequence[str], generator: random.Random) -> tuple[Message, ...]:
    """Show a page and ask where things are, or for actions: one by one, or named beforehand.

    Args:
        words: Words that elements may be called, besides made-up ones.
        generator: Draws everything.
    """
    elements = _elements(words, generator)
    page = _page(elements, words, generator)
    asked = generator.sample(elements, generator.randint(min(2, len(elements)), len(elements)))
    kind = generator.choices(("where", "in order", "questions"), (0.5, 0.2, 0.3))[0]
    if kind == "where":
        return _where(asked, page, generator)
    if kind == "in order":
        return _in_order(asked[:6], page, generator)
    messages: list[Message] = []
    for element in asked[:10]:
        question, call = _question(element, words, generator)
        messages.append(Message("user", question if messages else f"{question}\n\n{page}"))
        messages.append(Message("assistant", call.as_text()))
    return tuple(messages)


def click_drill(words: Sequence[str], generator: random.Random) -> tuple[Message, ...]:
    """Ask for a click on one thing of a page: a task's beginning and the right call.

    Args:
        words: Words that elements may be called, besides made-up ones.
        generator: Draws everything.
    """
    elements = _elements(words, generator)
    page = _page(elements, words, generator)
    wanted = generator.choice(elements)
    call = ToolCall("click", {"ref": wanted.ref})
    goal = Message("user", f'Click on "{wanted.name}".\n\n{page}')
    return goal, Message("assistant", call.as_text())


def _where(asked: Sequence[_Element], page: str, generator: random.Random) -> tuple[Message, ...]:
    """Ask for the numbers of many elements at once, before or after the page is shown.

    Most tokens of an action are the same in all actions; of these answers every other one tells
    whether a string was found.
    """
    names = ", ".join(_listed(asked, generator))
    refs = " ".join(str(each.ref) for each in asked)
    answer = Message("assistant", ToolCall("answer", {"text": refs}).as_text())
    if generator.random() < 0.7:
        return Message("user", f"Where are {names}?\n\n{page}"), answer
    return Message("user", f"{page}\n\nWhere are {names}?"), answer


def _listed(asked: Sequence[_Element], generator: random.Random) -> list[str]:
    """Return the names, most often quoted: then they are the same tokens as on the page."""
    quotes = generator.random() < 0.7
    return [f'"{each.name}"' if quotes else each.name for each in asked]


def _in_order(
    asked: Sequence[_Element], page: str, generator: random.Random
) -> tuple[Message, ...]:
    names = _listed(asked, generator)
    goal = generator.choice(_ASKED_IN_ORDER).format(
        generator.choice((", ", ", ", " > ")).join(names)
    )
    messages = [Message("user", f"{goal}\n\n{page}")]
    for each in asked:
        messages.append(Message("assistant", ToolCall("click", {"ref": each.ref}).as_text()))
        messages.append(Message("tool", "done"))
    return tuple(messages[:-1])


def _question(
    element: _Element, words: Sequence[str], generator: random.Random
) -> tuple[str, ToolCall]:
    if element.options:
        option = generator.choice(element.options)
        call = ToolCall("select", {"ref": element.ref, "option": option})
        return generator.choice(("Select {}.", 'Choose "{}" from the list.')).format(option), call
    if element.role == "textbox":
        text = _name(words, generator)
        call = ToolCall("fill", {"ref": element.ref, "text": text})
        return f'Enter "{text}" into "{element.name}".', call
    if generator.random() < 0.15:
        return f"What is [{element.ref}]?", ToolCall("answer", {"text": element.name})
    question = generator.choice(_ASKED).format(element.name)
    return question, ToolCall("click", {"ref": element.ref})


def _elements(words: Sequence[str], generator: random.Random) -> list[_Element]:
    count = generator.randint(2, generator.choice((4, 8, 14)))
    kind = generator.randrange(4)
    names: dict[str, None] = {}
    while len(names) < count:
        names[_name(words, generator, kind)] = None
    roles = generator.choices(_CLICKED, k=generator.randint(1, 3))
    elements: list[_Element] = []
    ref = 0
    for name in names:
        # Elements without a name stand between those with one.
        ref += 1 if generator.random() < 0.85 else generator.randint(2, 4)
        chance = generator.random()
        if chance < 0.08:
            options = tuple({_name(words, generator): None for _ in range(generator.randint(2, 8))})
            elements.append(_Element(ref, generator.choice(("listbox", "combobox")), name, options))
        else:
            role = "textbox" if chance < 0.2 else generator.choice(roles)
            elements.append(_Element(ref, role, name))
    return elements


def _page(elements: Sequence[_Element], words: Sequence[str], generator: random.Random) -> str:
    separator = generator.choice(_SEPARATORS)
    lines: list[str] = []
    last = 0
    for element in elements:
        lines += [f"[{ref}] div .{generator.choice(words)}" for ref in range(last + 1, element.ref)]
        state = generator.choice((" checked", " focused")) if generator.random() < 0.08 else ""
        text = f"{generator.choice(words)} " if generator.random() < 0.08 else ""
        lines.append(text + element.line() + state)
        last = element.ref
    return separator.join(lines)


def _name(words: Sequence[str], generator: random.Random, kind: int | None = None) -> str:
    """Draw a name: a word or two, a made-up name, letters and digits, or any of these."""
    drawn = generator.randrange(4) if kind in (None, 3) else kind
    if drawn == 0:
        return " ".join(generator.choices(words, k=generator.choice((1, 1, 2))))
    if drawn == 1:
        return "".join(generator.choices(_SYLLABLES, k=generator.randint(2, 4))).capitalize()
    if drawn == 2:
        return "".join(
            generator.choices(string.ascii_letters + string.digits, k=generator.randint(2, 7))
        )
    return str(generator.randint(1, 9999))
