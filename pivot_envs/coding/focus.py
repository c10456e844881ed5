"""Where to look first: the place that a traceback points to, else the function a test calls."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pivot_envs.coding.view import find_function, find_functions, show_lines

_FRAME = re.compile(r"^([\w./-]+\.py):(\d+): ", flags=re.MULTILINE)
_TEST_ID = re.compile(r"([\w./-]+\.py)::([\w:]+)")
_CALL = re.compile(r"(\w+)\s*\(")


@dataclass(frozen=True, slots=True)
class Focus:
    """A function worth looking at."""

    path: str
    function: str
    """Qualified name in the file."""


def find_focus(
    text: str, package_paths: Iterable[str], read: Callable[[str], str | None]
) -> Focus | None:
    """Return the place that test output or an issue points to.

    That is the function of the innermost traceback frame inside the package. Where no frame
    enters the package, it is the package's function that the first named test calls, preferring
    one that the test is named after.

    Args:
        text: Test output or an issue that names tests.
        package_paths: Files of the package under test, without its tests.
        read: Returns a workspace file's text, or ``None`` if it cannot be read.
    """
    paths = set(package_paths)
    for path, number in reversed(_FRAME.findall(text)):
        source = read(path) if path in paths else None
        if source is not None:
            holding = [s for s in find_functions(source) if s.start <= int(number) <= s.end]
            if holding:
                return Focus(path, holding[-1].name)
    match = _TEST_ID.search(text)
    test_source = read(match[1]) if match else None
    if match is None or test_source is None:
        return None
    return _called_function(match[2], test_source, sorted(paths), read)


def _called_function(
    test_name: str, test_source: str, paths: list[str], read: Callable[[str], str | None]
) -> Focus | None:
    span = find_function(test_source, test_name.replace("::", "."))
    if span is None:
        return None
    called = list(dict.fromkeys(_CALL.findall(show_lines(test_source, span.start + 1, span.end))))
    defined = _defined_functions(paths, read)
    candidates = [name for name in called if name in defined]
    if not candidates:
        return None
    wanted = _letters(test_name)
    named_after = [name for name in candidates if _letters(name) in wanted]
    name = max(named_after, key=lambda n: len(_letters(n))) if named_after else candidates[0]
    return defined[name]


def _defined_functions(
    paths: Iterable[str], read: Callable[[str], str | None]
) -> Mapping[str, Focus]:
    found: dict[str, Focus] = {}
    for path in paths:
        for span in find_functions(read(path) or ""):
            found.setdefault(span.name.rsplit(".", 1)[-1], Focus(path, span.name))
    return found


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
