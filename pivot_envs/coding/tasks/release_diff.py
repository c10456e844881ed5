"""ReleaseDiff: what changed between two source releases, in the code and in its tests."""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pivot_envs.coding.diff import parse_diff, write_diff
from pivot_envs.coding.source import PackageSource
from pivot_envs.coding.workspace import Workspace

_VERSION_LINE = re.compile(r"^\s*(__)?version(__|_info|_tuple)?\s*[:=]|^VERSION\s*=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ReleaseDiff:
    """The change from one release to the next."""

    code: str
    """Unified diff of the package's own files, without the version number's bump."""
    tests: str
    """Unified diff of all other files."""
    changed_files: int
    """Files of the package that change."""
    changed_lines: int
    """Lines of the package that are added or replaced, plus those only removed."""
    added: tuple[str, ...]
    """Lines that are added to the package."""
    new_names: tuple[str, ...]
    """Public functions, classes and methods of the new release only, as ``module.name``."""
    flaw: str | None
    """Why the change cannot be given as text, or None."""

    @classmethod
    def between(cls, old: PackageSource, new: PackageSource) -> "ReleaseDiff":
        """Compare two releases."""
        before, after = Workspace.of(old), Workspace.of(new)
        code: list[str] = []
        tests: list[str] = []
        flaw = None
        files = 0
        for path in sorted({*old.files, *new.files}):
            contents = old.files.get(path), new.files.get(path)
            if contents[0] == contents[1]:
                continue
            is_code = any(each.owns(path) and not each.is_test(path) for each in (before, after))
            try:
                texts = [None if each is None else each.decode("utf-8") for each in contents]
            except UnicodeDecodeError:
                flaw = f"{path} is no text" if is_code else flaw
                continue
            if is_code and not before.owns(path):
                flaw = f"{path} lies outside the old release's own folders"
            if is_code:
                texts[1] = _with_old_version(*texts)
            diff = write_diff(path, *texts)
            (code if is_code else tests).append(diff)
            files += bool(is_code and diff)
        return cls(
            code="".join(code),
            tests="".join(tests),
            changed_files=files,
            changed_lines=count_lines("".join(code)),
            added=tuple(added_lines("".join(code))),
            new_names=tuple(sorted(_names(new, after) - _names(old, before))),
            flaw=flaw,
        )


def added_lines(diff: str) -> Iterable[str]:
    """Yield the lines that a diff adds, stripped."""
    for file in parse_diff(diff):
        for hunk in file.hunks:
            yield from (line.strip() for line in hunk.added)


def count_lines(diff: str) -> int:
    """Count the lines that a diff adds or replaces, plus those that it only removes."""
    hunks = [hunk for file in parse_diff(diff) for hunk in file.hunks]
    return sum(max(len(hunk.added), len(hunk.removed)) for hunk in hunks)


def used_names(names: Iterable[str], tests: Mapping[str, str]) -> tuple[str, ...]:
    """Return those of some ``module.name`` whose last part occurs in tests as an identifier."""
    identifiers: set[str] = set()
    for text in tests.values():
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                    identifiers.add(name)
    return tuple(name for name in names if name.rpartition(".")[2] in identifiers)


def _with_old_version(old: str | None, new: str | None) -> str | None:
    """Return the new text with the old version number: no task is to guess a number."""
    if old is None or new is None:
        return new
    numbers = [line for line in old.splitlines() if _VERSION_LINE.match(line)]
    lines = new.split("\n")
    places = [index for index, line in enumerate(lines) if _VERSION_LINE.match(line)]
    if len(places) == len(numbers):
        for index, line in zip(places, numbers, strict=True):
            lines[index] = line
    return "\n".join(lines)


def _names(source: PackageSource, workspace: Workspace) -> set[str]:
    names: set[str] = set()
    for path in workspace.package_paths():
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        try:
            body = ast.parse(source.files[path]).body
        except SyntaxError:
            continue
        names |= {f"{module}.{name}" for name in _defined(body)}
    return {name for name in names if not name.rpartition(".")[2].startswith("_")}


def _defined(body: Iterable[ast.stmt]) -> Iterable[str]:
    for node in body:
        match node:
            case ast.ClassDef(name=name, body=inner):
                yield name
                yield from (f"{name}.{each}" for each in _defined(inner))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
