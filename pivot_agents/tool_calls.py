"""CallForm, how a chat template writes the tool call of an assistant, and how to read it back."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

_NAME = "probe_tool"
_ARGUMENTS = {"probe_key": "probe_value"}

Render = Callable[[list[dict[str, Any]], bool], str]
"""Renders messages in OpenAI's form; the flag asks for the prompt of an answer at the end."""


@dataclass(frozen=True, slots=True)
class CallForm:
    """What stands before a call's JSON object, and the names of the object's two fields."""

    before: str
    name_key: str
    arguments_key: str

    @classmethod
    def of(cls, render: Render) -> "CallForm | None":
        """Find out how a template writes calls, by rendering one.

        Returns:
            ``None`` if the template does not write calls, or not as JSON objects.
        """
        task = {"role": "user", "content": "task"}
        try:
            prompt = render([task], True)
            whole = render([task, openai_call(_NAME, _ARGUMENTS)], False)
        except (TemplateError, TypeError, ValueError):
            return None
        written = whole.removeprefix(prompt) if whole.startswith(prompt) else whole
        for start, character in enumerate(written):
            found = _decoded(written, start) if character == "{" else None
            if isinstance(found, dict) and _NAME in found.values():
                return cls._from(written[:start], found)
        return None

    @classmethod
    def _from(cls, before: str, found: dict[str, Any]) -> "CallForm | None":
        keys = {json.dumps(value): key for key, value in found.items()}
        name, arguments = keys.get(json.dumps(_NAME)), keys.get(json.dumps(_ARGUMENTS))
        if name is None or arguments is None:
            return None
        # Only the last word: templates also write what a model may leave out, such as thoughts.
        words = [word for word in before.split() if any(map(str.isalnum, word))]
        return cls(words[-1] if words else "", name, arguments)

    def action(self, text: str) -> str:
        """Return the action of a completion, its last call's JSON in the project's own form.

        Text that holds no call comes back without what goes before a call, for the environment to
        say what is wrong with it.
        """
        said = text.rpartition(self.before)[2] if self.before else text
        start = said.find("{")
        call = _decoded(said, start) if start >= 0 else None
        if not isinstance(call, dict) or self.name_key not in call:
            is_tag = self.before.startswith("<")
            return said.partition(f"</{self.before[1:]}" if is_tag else "\0")[0].strip()
        if (self.name_key, self.arguments_key) == ("name", "arguments") and len(call) <= 2:
            end = json.JSONDecoder().raw_decode(said, start)[1]
            return said[start:end]
        return json.dumps(
            {"name": call[self.name_key], "arguments": call.get(self.arguments_key, {})}
        )


def openai_call(name: str, arguments: Any) -> dict[str, Any]:
    """Return an assistant's message with one tool call, as chat templates expect it."""
    function = {"name": name, "arguments": arguments}
    # Some templates ask for an id, of just nine letters and digits.
    calls = [{"type": "function", "id": "call00000", "function": function}]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def _decoded(text: str, start: int) -> Any:
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except ValueError:
        return None
