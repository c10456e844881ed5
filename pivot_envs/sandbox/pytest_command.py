"""Which shell commands are plain pytest runs."""

import re
import shlex

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./ '\"\[\]-]+")


def pytest_words(command: str) -> tuple[str, ...]:
    """Return the words of a plain ``pytest ...`` or ``python -m pytest ...`` command.

    Plain means that bash would pass on exactly these words: no operators, redirections,
    expansions or globs.

    Returns:
        The words, or nothing if the command is anything else.

    >>> pytest_words("python -m pytest -q 'tests/test_a.py::test_b[1-2]'")
    ('python', '-m', 'pytest', '-q', 'tests/test_a.py::test_b[1-2]')
    >>> pytest_words("pytest -q | tail")
    ()
    """
    command = command.strip(" ")
    if not _PLAIN.fullmatch(command) or _has_bare_bracket(command):
        return ()
    try:
        words = tuple(shlex.split(command))
    except ValueError:
        return ()
    if words[:1] == ("pytest",) or (
        words[:1] in (("python",), ("python3",)) and words[1:3] == ("-m", "pytest")
    ):
        return words
    return ()


def _has_bare_bracket(command: str) -> bool:
    """Tell whether a bracket stands outside of quotes, where bash would take it for a glob."""
    quote = ""
    for character in command:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "[]":
            return True
    return False
