"""Files that processes hold, open or mapped: these may change without a sign of it.

Writes through a mapping leave time stamps as they are: on tmpfs only the first write to a mapped
page touches mtime and ctime. A file that is mapped now may change later without a new stamp, and
one that is open may change through a name that it no longer has.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection
from typing import NamedTuple


class Held(NamedTuple):
    """Inode numbers, of whatever file systems."""

    mapped: set[int]
    """Files of which a process shares a mapping."""
    opened: set[int]
    """Files of the workspace's file system that a process has open."""
    may_be_more: bool = False
    """Whether others may be on their way through a socket."""


def held_inodes(
    pids: Callable[[], set[int]], without_mappings: Collection[int], device: int
) -> Held | None:
    """Return what processes hold; the caller may look into them.

    Args:
        pids: Returns the processes to look at, as there are now; those that end are left out.
        without_mappings: Those of them that map nothing.
        device: The file system of the open files that count.

    Returns:
        The inodes, or None if a process hides what it holds, or new ones appear all the time.
    """
    held = Held(set(), set())
    seen: set[str] = set()
    # A process that is looked at may have handed on what it held just before.
    for _ in range(_ROUNDS):
        fresh = _threads(pids()) - seen
        if not fresh:
            return held
        for thread in fresh:
            try:
                _look_at(thread, held, device, int(thread.split("/")[2]) not in without_mappings)
            except PermissionError:
                return None
        seen |= fresh
    return None


def other_sockets(own: Collection[int]) -> bool:
    """Tell whether there are Unix sockets in this network namespace beside some, by inode."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
        next(file)
        return any(int(line.split()[6]) not in own for line in file)


def _threads(pids: set[int]) -> set[str]:
    """Return the folders of all threads: each may have a table of open files of its own."""
    found: set[str] = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.update(f"/proc/{pid}/task/{name}" for name in os.listdir(f"/proc/{pid}/task"))
    return found


def _look_at(thread: str, held: Held, device: int, has_mappings: bool) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for name in os.listdir(f"{thread}/fd"):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(f"{thread}/fd/{name}")
                if status.st_dev == device:
                    held.opened.add(status.st_ino)
        if has_mappings:
            with open(f"{thread}/maps", "rb") as file:
                # address, permissions, offset, device, inode, path
                lines = [line.split(None, 5) for line in file]
            held.mapped.update(int(fields[4]) for fields in lines if fields[1].endswith(b"s"))


_ROUNDS = 10
