"""The tools of an agent in the browser."""

from collections.abc import Iterable
from typing import Any

from pivot_envs.errors import ActionError
from pivot_envs.tools import ToolCall, ToolSpec, object_schema

_REF = ("integer", "The number in brackets before the element in the newest observation.")
_MOST_PIXELS = 100_000
_INTEGERS = ("ref", "x", "y", "dx", "dy", "from_ref", "from_x", "from_y", "to_ref", "to_x", "to_y")


_SPECS = (
    ToolSpec(
        "click",
        "Click an element, in its middle or at x, y pixels from its top left corner.",
        object_schema(
            {"ref": _REF, "x": ("integer", "Pixels from the left."), "y": ("integer", "From top.")},
            ("ref",),
        ),
    ),
    ToolSpec(
        "fill",
        "Replace the text of a field.",
        object_schema({"ref": _REF, "text": ("string", "The new text.")}, ("ref", "text")),
    ),
    ToolSpec(
        "select",
        "Choose an option of a list by its text; where several can be chosen, add or remove it.",
        object_schema({"ref": _REF, "option": ("string", "The option's text.")}, ("ref", "option")),
    ),
    ToolSpec(
        "press",
        "Press a key, in the element that has the focus.",
        object_schema(
            {"key": ("string", "Enter, Tab, Escape, ArrowDown, a, Control+a, ...")}, ("key",)
        ),
    ),
    ToolSpec(
        "scroll",
        "Scroll the page, or the part of it that an element lies in.",
        object_schema(
            {"ref": _REF, "dy": ("integer", "Pixels; down if positive, up if negative.")}, ("dy",)
        ),
    ),
    ToolSpec(
        "drag",
        "Drag from one element to another, or by dx, dy pixels. On text, this selects it.",
        object_schema(
            {
                "from_ref": _REF,
                "to_ref": _REF,
                "dx": ("integer", "Pixels to the right, without to_ref."),
                "dy": ("integer", "Pixels down, without to_ref."),
                "from_x": ("integer", "Where to begin, from the left of from_ref."),
                "from_y": ("integer", "Where to begin, from its top."),
                "to_x": ("integer", "Where to end, from the left of to_ref."),
                "to_y": ("integer", "Where to end, from its top."),
            },
            ("from_ref",),
        ),
    ),
    ToolSpec(
        "goto", "Open an address.", object_schema({"url": ("string", "The address.")}, ("url",))
    ),
    ToolSpec("back", "Go back to the page before this one.", object_schema({})),
    ToolSpec(
        "answer",
        "Answer the question; this ends the task.",
        object_schema({"text": ("string", "The answer.")}, ("text",)),
    ),
    ToolSpec("submit", "Say that the task is done; this ends it.", object_schema({})),
)
PAGE_TOOLS = ("click", "fill", "select", "press", "scroll", "drag")
"""Tools that every suite has; they act within the page."""


def toolbox(extra: Iterable[str]) -> tuple[ToolSpec, ...]:
    """Return the tools of a suite that has ``extra`` besides the page's own.

    Raises:
        ValueError: A tool is unknown.
    """
    wanted = {*PAGE_TOOLS, *extra}
    unknown = sorted(wanted - {spec.name for spec in _SPECS})
    if unknown:
        raise ValueError(f"unknown tools {unknown}; a suite can add goto, back, answer and submit")
    return tuple(spec for spec in _SPECS if spec.name in wanted)


def checked_arguments(call: ToolCall) -> dict[str, Any]:
    """Return a call's arguments as the page can take them.

    Raises:
        ActionError: A number is out of any page's range.
    """
    arguments = dict(call.arguments)
    for name in _INTEGERS:
        if abs(arguments.get(name, 0)) > _MOST_PIXELS:
            raise ActionError(f"{call.name}: {name!r} must be within ±{_MOST_PIXELS}")
    # Lone surrogates are no text that a browser could be given.
    return {
        name: value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value
        for name, value in arguments.items()
    }
