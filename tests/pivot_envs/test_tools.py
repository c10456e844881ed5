"""Tool calls: how an action's text is read."""

import json

import pytest

from pivot_envs.errors import ActionError
from pivot_envs.tools import ToolCall, ToolSpec, parse_action

EDIT = ToolSpec(
    "edit",
    "Change a file.",
    {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "line": {"type": "integer"},
            "share": {"type": "number"},
            "all": {"type": "boolean"},
            "mode": {"type": "string", "enum": ["a", "b"]},
        },
        "required": ["path"],
    },
)
LOOK = ToolSpec("look", "Look.", {"type": "object", "properties": {}})


def test_a_call_is_read_from_its_own_text() -> None:
    call = ToolCall("edit", {"path": "a\n\ud800", "line": 3, "share": 1, "all": True, "mode": "b"})
    assert parse_action(call.as_text(), [LOOK, EDIT]) == call


def test_arguments_may_be_left_out_where_none_is_required() -> None:
    assert parse_action('{"name": "look"}', [LOOK, EDIT]) == ToolCall("look", {})


def test_a_tool_describes_itself_as_llm_apis_expect() -> None:
    described = json.loads(json.dumps(EDIT.as_openai()))
    assert described["type"] == "function"
    assert described["function"]["name"] == "edit"
    assert described["function"]["parameters"]["required"] == ["path"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ("9" * 5_000, "this is no JSON"),
        ("[]", "expected a JSON object"),
        ('{"name": 1}', "expected a JSON object"),
        ('{"name": "look", "id": 1}', "unknown keys \\['id'\\]"),
        ('{"name": "run"}', "unknown tool 'run'; the tools are look, edit"),
        ('{"name": "edit", "arguments": []}', "must be a JSON object"),
        ('{"name": "edit", "arguments": {}}', "edit needs the argument 'path'"),
        ('{"name": "look", "arguments": {"at": 1}}', "no argument 'at'; it takes none"),
        ('{"name": "edit", "arguments": {"path": 1}}', "'path' must be of type string, got 1"),
        ('{"name": "edit", "arguments": {"path": "", "line": true}}', "'line' must be of type"),
        ('{"name": "edit", "arguments": {"path": "", "line": 1.5}}', "'line' must be of type"),
        ('{"name": "edit", "arguments": {"path": "", "all": 1}}', "'all' must be of type"),
        ('{"name": "edit", "arguments": {"path": "", "mode": "c"}}', "'mode' must be one of"),
    ],
)
def test_a_bad_call_is_explained(text: str, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        parse_action(text, [LOOK, EDIT])


def test_an_explanation_stays_short_and_printable() -> None:
    with pytest.raises(ActionError) as caught:
        parse_action(json.dumps({"name": "\ud800" * 10_000}), [LOOK])
    assert len(str(caught.value).encode()) < 200
