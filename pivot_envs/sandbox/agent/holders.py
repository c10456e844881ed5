"""Files that processes hold, open or mapped: these may change without a sign of it.

Writes through a mapping leave time stamps as they are: on tmpfs only the first write to a mapped
page touches mtime and ctime. A file that is mapped now may change later without a new stamp, and
one that is open may change through a name that it no longer has.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Collection, Iterator, Set
from typing import NamedTuple

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


class Held(NamedTuple):
    """Inode numbers, of whatever file systems."""

    mapped: set[int]
    """Files of which a process shares a mapping."""
    opened: set[int]
    """Files of the workspace's file system that a process has open."""
    may_be_more: bool = False
    """Whether others may be on their way through a socket."""


def held_inodes(
    pids: Callable[[], set[int]], without_mappings: Set[int], device: int | None
) -> Held | None:
    """Return what processes hold; the caller may look into them.

    Args:
        pids: Returns the processes to look at, as there are now; those that end are left out.
        without_mappings: Those of them that map nothing, and do nothing at present.
        device: The file system of the open files that count; None if none do.

    Returns:
        The inodes, or None if a process hides what it holds, or new ones appear all the time.
    """
    held = Held(set(), set())
    seen: set[str] = set()
    # A process that is looked at may have handed on what it held just before.
    for _ in range(_ROUNDS):
        there = pids()
        fresh = _threads(there) - seen
        if not fresh:
            return held
        for thread in fresh:
            try:
                _look_at(thread, held, device, int(thread.split("/")[2]) not in without_mappings)
            except PermissionError:
                return None
        seen |= fresh
        if there <= without_mappings:
            # A shell that waits for the agent hands nothing on.
            return held
    return None


@contextlib.contextmanager
def looking_as(ids: tuple[int, int] | None) -> Iterator[None]:
    """Take a user (uid, gid) for the file system only: the kernel shows it what its processes hold.

    ``None`` is the present user.
    """
    if ids is None:
        yield
        return
    # A change of user takes this signal off.
    with_parent = ctypes.c_int(0)
    _libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(with_parent), 0, 0, 0)
    own_gid, own_uid = _libc.setfsgid(ids[1]), _libc.setfsuid(ids[0])
    try:
        yield
    finally:
        _libc.setfsuid(own_uid)
        _libc.setfsgid(own_gid)
        _libc.prctl(_PR_SET_PDEATHSIG, with_parent.value, 0, 0, 0)


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


def _look_at(thread: str, held: Held, device: int | None, has_mappings: bool) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for name in os.listdir(f"{thread}/fd") if device is not None else ():
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
