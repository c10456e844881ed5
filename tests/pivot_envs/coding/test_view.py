from pivot_envs.coding.view import (
    find_function,
    find_functions,
    show_function,
    show_lines,
    shown_lines,
)

SOURCE = '''\
import os

class Reader:
    """Reads."""

    def open(self, path):
        def inner():
            return path

        return inner

    async def read(
        self,
        count: int = 10,  # how many:
    ) -> bytes:
        """Return bytes.

        def not_a_function(): this is prose.
        """
        if count:
            return b""

if os.name == "posix":
    def close(): return None
else:
    def close():
        """Close."""
        return 1


def last(text=(
    "a",
)):
    value = [
        text,
]
    return value
'''


def spans() -> dict[str, tuple[int, int]]:
    return {span.name: (span.start, span.end) for span in find_functions(SOURCE)[:-3]}


def test_functions_have_qualified_names_and_whole_bodies() -> None:
    assert spans() == {
        "Reader.open": (6, 10),
        "Reader.open.inner": (7, 8),
        "Reader.read": (12, 21),
    }
    last = find_function(SOURCE, "last")
    assert last is not None
    assert (last.start, last.end) == (31, 37)


def test_a_function_under_a_condition_belongs_to_no_earlier_function() -> None:
    closes = [span for span in find_functions(SOURCE) if span.name == "close"]
    assert [(span.start, span.end) for span in closes] == [(24, 24), (26, 28)]


def test_a_function_is_found_by_its_last_name_too() -> None:
    found = find_function(SOURCE, "read")
    assert found is not None
    assert found.name == "Reader.read"
    assert find_function(SOURCE, "no_such_function") is None


def test_only_docstrings_of_two_lines_or_more_fold() -> None:
    read, close = find_function(SOURCE, "read"), find_functions(SOURCE)[-2]
    assert read is not None
    assert read.docstring == (16, 19)
    assert show_function(SOURCE, read).split("\n")[4:] == [
        "[docstring 16-19]",
        "20|        if count:",
        '21|            return b""',
    ]
    assert show_function(SOURCE, close) == show_lines(SOURCE, 26, 28)


def test_a_function_that_is_all_docstring_is_folded() -> None:
    source = 'def f():\n    """One.\n\n    Two.\n    """\n'
    (span,) = find_functions(source)
    assert show_function(source, span) == "1|def f():\n[docstring 2-5]"


def test_functions_are_found_in_a_file_with_a_syntax_error() -> None:
    source = "def broken(:\n    return (\n\ndef whole():\n    return 1\n\ndef no_body("
    assert [span.name for span in find_functions(source)] == ["broken", "whole", "no_body"]
    unclosed = find_functions('def f():\n    """Never\n    closed\n')
    assert unclosed[0].docstring is None


def test_shown_lines_are_read_back() -> None:
    text = show_lines("a\nb\nc\n", 2, 10**30)
    assert text == "2|b\n3|c\n4|"
    assert shown_lines(f"[docstring 8-9]\n{text}\nx 7|no") == {2, 3, 4}
    assert show_lines("a", 5, 9) == ""
