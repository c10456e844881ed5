"""Bounds, how much a saved workspace may hold: what commands make beyond them is not saved."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

MAX_DEPTH = 200
"""Folders above an entry."""

MAX_PATH_BYTES = 3000
MAX_ENTRIES = 200_000
MAX_NAME_BYTES = 32 * 1024 * 1024
"""All paths and link targets together."""

_BAD_PARTS = frozenset(("", ".", ".."))


class Entry(NamedTuple):
    """One entry of the workspace: ``file``, ``symlink`` or ``directory``."""

    kind: str
    mode: int
    content: str


class AnyEntry(Protocol):
    """An entry, as agent or host describe it."""

    @property
    def kind(self) -> str:
        """As in ``Entry``."""

    @property
    def mode(self) -> int:
        """As in ``Entry``."""

    @property
    def content(self) -> str:
        """As in ``Entry``."""


class BoundsError(Exception):
    """The workspace holds more than can be saved."""


class Tally:
    """What has been counted of a workspace so far."""

    def __init__(self, max_bytes: int) -> None:
        """Allow ``max_bytes`` of file contents, each file counted by its size."""
        self._max_bytes = max_bytes
        self._entries = 0
        self._name_bytes = 0
        self._bytes = 0

    def add(self, path: str, *, target: str = "", size: int = 0) -> None:
        """Count an entry.

        Raises:
            BoundsError: It is one too many, or too deep.
        """
        length = _encoded_length(path)
        self._entries += 1
        self._name_bytes += length + _encoded_length(target)
        self._bytes += size
        check_depth(path, length)
        if self._entries > MAX_ENTRIES or self._name_bytes > MAX_NAME_BYTES:
            raise BoundsError(
                f"there are more than {MAX_ENTRIES} files, or their names are too long"
            )
        if self._bytes > self._max_bytes:
            raise BoundsError(f"the files are larger than {self._max_bytes} bytes together")

    def remove(self, path: str, *, target: str = "", size: int = 0) -> None:
        """Count an entry no more."""
        self._entries -= 1
        self._name_bytes -= _encoded_length(path) + _encoded_length(target)
        self._bytes -= size


def check_depth(path: str, length: int | None = None) -> None:
    """Refuse a path of too many folders; ``length`` is its length in bytes, if it is known.

    Raises:
        BoundsError: It is too deep, or too long.
    """
    length = _encoded_length(path) if length is None else length
    # A path with so many folders is longer than twice their number.
    if length > 2 * MAX_DEPTH and (path.count("/") > MAX_DEPTH or length > MAX_PATH_BYTES):
        raise BoundsError(f"{path[:40]}... lies deeper than {MAX_DEPTH} folders, or is too long")


def _encoded_length(name: str) -> int:
    return len(name) if name.isascii() else len(os.fsencode(name))


def check_entries(wanted: Mapping[str, AnyEntry], paths: Iterable[str] | None = None) -> None:
    """Check the entries of a state that is to be loaded.

    Args:
        wanted: All of them by path.
        paths: Those to check if the others are as they were when all were checked, and no folder
            is gone.

    Raises:
        ValueError: A path leaves the workspace or lies in no folder, an entry is of no known kind
            or mode, or there is more than a workspace may hold.
    """
    tally = Tally(0)
    if len(wanted) > MAX_ENTRIES:
        raise ValueError(f"there are more than {MAX_ENTRIES} files")
    for path in wanted if paths is None else paths:
        entry = wanted[path]
        if entry.kind not in ("file", "symlink", "directory") or not 0 <= entry.mode <= 0o7777:
            raise ValueError(f"{path!r} has no known kind and mode: {entry.kind!r}, {entry.mode!r}")
        if path == ".":
            if entry.kind != "directory":
                raise ValueError("the workspace itself must be a folder")
            continue
        try:
            tally.add(path, target=entry.content)
        except BoundsError as error:
            raise ValueError(str(error)) from error
        if not _BAD_PARTS.isdisjoint(path.split("/")) or "\0" in path or "\0" in entry.content:
            raise ValueError(f"{path!r} is no path below the workspace")
        parent = path.rpartition("/")[0]
        if parent and (parent not in wanted or wanted[parent].kind != "directory"):
            raise ValueError(f"{path!r} lies in {parent!r}, which is no folder of the state")


def check_changes(
    before: Mapping[str, AnyEntry], wanted: Mapping[str, AnyEntry], paths: Collection[str]
) -> None:
    """Check the entries of a state that differs from a checked one, ``before``, at some paths.

    Raises:
        ValueError: As in ``check_entries``.
    """
    changed = [path for path in paths if path in wanted]
    folders = [path for path in paths if path in before and before[path].kind == "directory"]
    are_there = all(path in wanted and wanted[path].kind == "directory" for path in folders)
    check_entries(wanted, changed if are_there else None)
