"""Tool calls: what an action is, and how its text is read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pivot_envs.errors import ActionError

_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool, described as LLM APIs expect it."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON Schema of the arguments; ``type``, ``properties``, ``required`` and ``enum`` count."""

    def as_openai(self) -> dict[str, Any]:
        """Return the OpenAI function-call description of the tool."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
        }
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A parsed action: the name of a tool and its checked arguments."""

    name: str
    arguments: Mapping[str, Any]

    def as_text(self) -> str:
        """Return the action text that parses to this call."""
        return json.dumps({"name": self.name, "arguments": dict(self.arguments)})


def parse_action(text: str, tools: Sequence[ToolSpec]) -> ToolCall:
    """Read an action text as one call of one of ``tools``.

    Raises:
        ActionError: The text is no JSON object with ``name`` and ``arguments``, the tool is
            unknown, or an argument is missing, unknown or of the wrong type.
    """
    try:
        call = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ActionError(
            'expected one tool call as JSON, {"name": ..., "arguments": {...}}; '
            f"this is no JSON: {error}"
        ) from error
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise ActionError('expected a JSON object with "name" and "arguments"')
    extra = sorted(set(call) - {"name", "arguments"})
    if extra:
        raise ActionError(f'unknown keys {extra!r:.60}; expected only "name" and "arguments"')
    spec = next((tool for tool in tools if tool.name == call["name"]), None)
    if spec is None:
        names = ", ".join(tool.name for tool in tools)
        raise ActionError(f"unknown tool {call['name']!r:.60}; the tools are {names}")
    arguments = call.get("arguments", {})
    if not isinstance(arguments, dict):
        raise ActionError(f'"arguments" of {spec.name} must be a JSON object')
    _check_arguments(spec, arguments)
    return ToolCall(spec.name, arguments)


def _check_arguments(spec: ToolSpec, arguments: Mapping[str, Any]) -> None:
    properties: Mapping[str, Any] = spec.parameters.get("properties", {})
    for name in spec.parameters.get("required", ()):
        if name not in arguments:
            raise ActionError(f"{spec.name} needs the argument {name!r}")
    for name, value in arguments.items():
        if name not in properties:
            known = ", ".join(properties) or "none"
            raise ActionError(f"{spec.name} has no argument {name!r:.60}; it takes {known}")
        schema = properties[name]
        expected = _JSON_TYPES[schema["type"]]
        is_bool_for_number = isinstance(value, bool) and bool not in expected
        if not isinstance(value, expected) or is_bool_for_number:
            raise ActionError(
                f"{spec.name}: {name!r} must be of type {schema['type']}, got {value!r:.60}"
            )
        if "enum" in schema and value not in schema["enum"]:
            raise ActionError(f"{spec.name}: {name!r} must be one of {schema['enum']}")


def object_schema(
    properties: dict[str, tuple[str, str]], required: tuple[str, ...] = ()
) -> dict[str, object]:
    """Return a JSON Schema of a tool's arguments.

    Args:
        properties: Type and description by name; no others are allowed.
        required: Names that must be given.
    """
    return {
        "type": "object",
        "properties": {
            name: {"type": kind, "description": text} for name, (kind, text) in properties.items()
        },
        "required": list(required),
        "additionalProperties": False,
    }
