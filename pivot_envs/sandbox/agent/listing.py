"""Listing, what is known of the workspace: its entries, and of files when they were read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from .bounds import Entry, Tally


class Known(NamedTuple):
    """A regular file when it was read."""

    stamp: tuple[int, ...]
    """Begins with the inode number."""
    is_settled: bool
    """Whether any later change gives it another stamp."""
    entry: Entry


class Listing:
    """Entries by path, folder by folder."""

    def __init__(self, max_bytes: int) -> None:
        """Hold nothing so far, and later at most ``max_bytes`` of file contents."""
        self.entries: dict[str, Entry] = {}
        self.files: dict[str, Known] = {}
        self.folders: dict[str, set[str]] = {}
        """Folder to the paths of what lies directly in it; empty for the workspace itself."""
        self.linked: set[str] = set()
        """Files with more than one name."""
        self.strange: set[str] = set()
        """Named pipes, sockets and devices, which are not entries."""
        self._tally = Tally(max_bytes)
        self._sizes: dict[str, int] = {}

    def add(self, folder: str, path: str, entry: Entry, size: int = 0) -> None:
        """Take in an entry, in place of the one that was there.

        Raises:
            BoundsError: It is one too many, or too deep.
        """
        self.remove(folder, path)
        self.entries[path] = entry
        self.folders[folder].add(path)
        if entry.kind == "file":
            self._sizes[path] = size
        self._tally.add(path, target=entry.content if entry.kind == "symlink" else "", size=size)

    def remove(self, folder: str, path: str) -> None:
        """Leave out an entry, if it is there; one that is a folder keeps what lies in it."""
        entry = self.entries.pop(path, None)
        if entry is None:
            return
        self.folders[folder].discard(path)
        self.linked.discard(path)
        target = entry.content if entry.kind == "symlink" else ""
        self._tally.remove(path, target=target, size=self._sizes.pop(path, 0))

    def drop(self, folder: str) -> None:
        """Forget a folder that is gone, and all that lay in it."""
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            for path in list(self.folders.get(current, ())):
                self.remove(current, path)
                waiting.append(path)
            self.folders.pop(current, None)
            self.forget_strange(current)

    def forget_strange(self, folder: str) -> None:
        """Forget the strange things that lay directly in a folder."""
        if self.strange:
            self.strange = {path for path in self.strange if parent(path) != folder}

    def folders_of(self, inodes: Iterable[int]) -> set[str]:
        """Return the folders in which files with these inode numbers were."""
        wanted = set(inodes)
        if not wanted:
            return set()
        return {parent(path) for path, known in self.files.items() if known.stamp[0] in wanted}


def parent(path: str) -> str:
    """Return the folder of a path, empty for the workspace itself."""
    return path.rpartition("/")[0]


def is_folder(entry: Entry | None) -> bool:
    """Tell whether an entry is there and a folder."""
    return entry is not None and entry.kind == "directory"


def stamp_of(status: os.stat_result) -> tuple[int, ...]:
    """Return what a change of a file changes."""
    return (
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_mode,
    )
