from collections.abc import Mapping
from typing import Any

import pytest

from pivot_envs.coding.editing import edit_text, syntax_error
from pivot_envs.errors import ActionError

SOURCE = "a = 1\nb = 1 + 1\nc = 3"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"line": 1, "old": "1", "new": "2"}, ("a = 2\nb = 1 + 1\nc = 3", 1, 1)),
        ({"line": 2, "old": "1 + 1", "new": "(\n2)"}, ("a = 1\nb = (\n2)\nc = 3", 2, 3)),
        ({"line": 3, "old": "c = 3", "new": ""}, ("a = 1\nb = 1 + 1\n", 3, 3)),
        ({"start": 2, "end": 3, "text": "z"}, ("a = 1\nz", 2, 2)),
        ({"start": 2, "end": 2, "text": "y\nz\n"}, ("a = 1\ny\nz\nc = 3", 2, 3)),
        ({"start": 1, "end": 2, "text": ""}, ("c = 3", 1, 0)),
        ({"start": 1, "end": 0, "text": "z"}, (f"z\n{SOURCE}", 1, 1)),
        ({"start": 4, "end": 3, "text": "z"}, (f"{SOURCE}\nz", 4, 4)),
    ],
)
def test_an_edit_changes_a_span_or_a_range(
    arguments: Mapping[str, Any], expected: tuple[str, int, int]
) -> None:
    assert edit_text(SOURCE, {"path": "any.py", **arguments}) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "got nothing"),
        ({"line": 1, "old": "1"}, "got line, old"),
        ({"line": 1, "old": "1", "new": "2", "text": "x"}, "either line, old and new"),
        ({"line": 0, "old": "1", "new": "2"}, "line 0 does not exist; the file has 3 lines"),
        ({"line": 4, "old": "1", "new": "2"}, "line 4 does not exist"),
        ({"line": 2, "old": "1", "new": "2"}, "must occur once on line 2, which reads: b = 1"),
        ({"line": 2, "old": "x", "new": "2"}, "must occur once"),
        ({"line": 2, "old": "", "new": "2"}, "must occur once"),
        ({"start": 3, "end": 1, "text": "x"}, "lines 3-1 are out of range"),
        ({"start": 0, "end": 1, "text": "x"}, "out of range"),
        ({"start": 1, "end": 4, "text": "x"}, "the file has 3 lines"),
        ({"start": 5, "end": 4, "text": "x"}, "out of range"),
        ({"start": -(10**30), "end": 10**30, "text": "x"}, "out of range"),
    ],
)
def test_a_wrong_edit_says_what_is_there(arguments: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ActionError, match=message):
        edit_text(SOURCE, arguments)


def test_a_syntax_error_is_named() -> None:
    assert syntax_error(SOURCE) is None
    assert syntax_error("a = 1\nb = (") == "SyntaxError: '(' was never closed (line 2)"
    assert str(syntax_error("a = '\0'")).startswith("SyntaxError: ")
    assert str(syntax_error("a = '\ud800'")).startswith("SyntaxError: ")
