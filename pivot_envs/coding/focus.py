"""Where to look first: the place that a traceback points to, else what the failing test calls."""

import re
from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass

from pivot_envs.coding.view import find_function, find_functions, show_lines

_FRAME = re.compile(r"^([\w./-]+\.py):(\d+): ", flags=re.MULTILINE)
_TEST_ID = re.compile(r"([\w./-]+\.py)::([\w:]+)\S*(?:\n> (.*))?")
_CALL = re.compile(r"(\w+)\s*\(")
_CLASS = re.compile(r"^class (\w+)", flags=re.MULTILINE)
_PROTOCOLS = {
    "__getitem__": r"\w\[",
    "__iter__": r"\b(all|any|dict|join|list|set|sorted|sum|tuple)\(",
    "__contains__": r"\bassert(Not)?In\(",
    "__bool__": r"\bassert(True|False)\(\w+\)",
}
"""How a test calls a method without naming it, beside ``name(`` for ``__name__``."""


@dataclass(frozen=True, slots=True)
class Focus:
    """A function worth looking at."""

    path: str
    function: str
    """Qualified name in the file."""


@dataclass(frozen=True, slots=True)
class _Package:
    """What a test can use: functions by their name, and methods by the name of their class."""

    functions: Mapping[str, Focus]
    classes: Mapping[str, Mapping[str, Focus]]


def find_focus(
    text: str, package_paths: Iterable[str], read: Callable[[str], str | None]
) -> Focus | None:
    """Return the place that test output or an issue points to.

    That is the function of the innermost traceback frame inside the package. Where no frame
    enters the package, it is the package's function that the first named test calls: in the
    statement that failed, else in its body, else anywhere in its class; one that the test is
    named after goes first. A class counts as the method that the test is named after or uses,
    else as its ``__init__``, else as its first method.

    Args:
        text: Test output or an issue that names tests.
        package_paths: Files of the package under test, without its tests.
        read: Returns a workspace file's text, or ``None`` if it cannot be read.
    """
    paths = sorted(set(package_paths))
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
    return _used_function(match[2], match[3] or "", test_source, _survey(paths, read))


def next_place(
    focus: Focus | None, suspects: Sequence[str], shown: MutableSequence[str]
) -> Focus | None:
    """Return the next function to show: first the focus, then one suspect after the other.

    Args:
        focus: What test output or the issue points to.
        suspects: Other functions as ``path::name``, the most suspicious one first.
        shown: Functions shown so far; the returned one is added. After the last one, it begins
            anew.
    """
    first = () if focus is None else (f"{focus.path}::{focus.function}",)
    places = list(dict.fromkeys((*first, *suspects)))
    if set(places) <= set(shown):
        shown.clear()
    place = next((place for place in places if place not in shown), None)
    if place is None:
        return None
    shown.append(place)
    path, _, function = place.partition("::")
    return Focus(path, function)


def _used_function(
    test_name: str, statement: str, test_source: str, package: _Package
) -> Focus | None:
    body = _body(test_source, test_name)
    class_text = _class_text(test_source, test_name.split("::")[0])
    mentioned = [
        package.classes[word]
        for word in re.findall(r"\w+", f"{body}\n{class_text}")
        if word in package.classes
    ]
    for scope in (statement, body, class_text):
        called = set(_CALL.findall(scope))
        known = [
            word
            for word in dict.fromkeys(re.findall(r"\w+", scope))
            if word in package.classes or (word in called and word in package.functions)
        ]
        if not known:
            continue
        name = _named_after(known, test_name) or known[0]
        if name in package.classes:
            return _used_method(package.classes[name], test_name, (statement, body))
        focus = package.functions[name]
        owners = [methods[name] for methods in mentioned if name in methods]
        return owners[0] if owners and "." in focus.function else focus
    return None


def _used_method(methods: Mapping[str, Focus], test_name: str, scopes: tuple[str, ...]) -> Focus:
    """Return the method that a test of a class is about."""
    named = _named_after(methods, test_name.rsplit("::", 1)[-1])
    if named is not None:
        return methods[named]
    for scope in scopes:
        for name in _CALL.findall(scope):
            for method in (name, f"__{name}__"):
                if method in methods:
                    return methods[method]
        for method, use in _PROTOCOLS.items():
            if method in methods and re.search(use, scope):
                return methods[method]
    return methods.get("__init__") or next(iter(methods.values()))


def _named_after(names: Iterable[str], test_name: str) -> str | None:
    """Return the longest of the names that occurs in the test's name."""
    wanted = _letters(test_name)
    found = [name for name in names if _letters(name) and _letters(name) in wanted]
    return max(found, key=lambda name: len(_letters(name)), default=None)


def _survey(paths: Iterable[str], read: Callable[[str], str | None]) -> _Package:
    functions: dict[str, Focus] = {}
    classes: dict[str, dict[str, Focus]] = {}
    nested: dict[str, Focus] = {}
    for path in paths:
        source = read(path) or ""
        class_names = set(_CLASS.findall(source))
        for span in find_functions(source):
            *outer, name = span.name.split(".")
            focus = Focus(path, span.name)
            if len(outer) == 1 and outer[0] in class_names:
                classes.setdefault(outer[0], {}).setdefault(name, focus)
            (nested if outer else functions).setdefault(name, focus)
    return _Package({**nested, **functions}, classes)


def _body(source: str, test_name: str) -> str:
    span = find_function(source, test_name.replace("::", "."))
    return show_lines(source, span.start + 1, span.end) if span else ""


def _class_text(source: str, name: str) -> str:
    match = re.search(rf"^class {name}\b.*\n(?:[ \t].*\n|\n)*", source, flags=re.MULTILINE)
    return match[0] if match else ""


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
