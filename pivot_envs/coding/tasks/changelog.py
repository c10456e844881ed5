"""Changelogs: what a project wrote about one of its releases."""

import re
from collections.abc import Collection

_VERSION = re.compile(r"(?<![\w.])v?(\d+(?:\.\d+)+(?:[.-]?(?:post|rc|a|b|dev)\d*)?)(?![\w.]*\d)")
_UNDERLINE = re.compile(r"^([=\-~^*#\"'`+])\1{2,}\s*$")
_MAX_HEADING = 100
_MAX_CHARS = 3000
_MIN_CODE = 8
"""Shorter lines of code, such as ``else:``, tell nothing."""


def changelog_entry(text: str, version: str) -> str:
    """Return what a changelog says about a version, without its heading; empty if nothing.

    An entry begins at a heading that names the version and ends at one that names another.

    Args:
        text: The changelog, in reStructuredText, Markdown or plain text.
        version: The version, such as ``0.5.1``.
    """
    lines = text.splitlines()
    entry: list[str] = []
    inside = False
    for index, line in enumerate(lines):
        found = _heading_version(lines, index)
        if found is not None:
            if inside and found != _plain(version):
                break
            inside = inside or found == _plain(version)
        elif inside and not (_UNDERLINE.match(line) and not any(map(str.strip, entry))):
            entry.append(line)
    return _without_last_heading(entry)


def without_code(text: str, code: Collection[str]) -> str:
    """Leave out the lines of a text that quote a line of code; what is too long is cut."""
    secrets = {line.strip() for line in code if len(line.strip()) >= _MIN_CODE}
    kept = [line for line in text.splitlines() if not any(secret in line for secret in secrets)]
    shown = "\n".join(kept).strip()
    return shown if len(shown) <= _MAX_CHARS else f"{shown[: _MAX_CHARS - 3].rstrip()}..."


def _heading_version(lines: list[str], index: int) -> str | None:
    """Return the version that a line names, if the line is a heading."""
    line = lines[index]
    match = _VERSION.search(line)
    if match is None or len(line) > _MAX_HEADING:
        return None
    is_underlined = index + 1 < len(lines) and _UNDERLINE.match(lines[index + 1])
    starts = re.match(r"^(#{1,6}\s|=+\s|\*\*|\[|v?\d|version\b|release\b|changes in\b)", line, re.I)
    # Without any mark, a heading is little more than the version and a date.
    is_bare = starts and len(line.split()) <= 6 and not line.rstrip().endswith(".")
    return _plain(match[1]) if is_underlined or line.startswith("#") or is_bare else None


def _plain(version: str) -> str:
    """Drop what writers leave out: ``1.0`` is ``1.0.0``."""
    return re.sub(r"(\.0)+$", "", version.lower().lstrip("v"))


def _without_last_heading(entry: list[str]) -> str:
    """Drop blank lines and rulers at both ends, such as the overline of the next heading."""
    while entry and (not entry[-1].strip() or _UNDERLINE.match(entry[-1])):
        entry.pop()
    while entry and (not entry[0].strip() or _UNDERLINE.match(entry[0])):
        entry.pop(0)
    return "\n".join(line.rstrip() for line in entry)
