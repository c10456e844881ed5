"""Files that processes have mapped: writes through a mapping leave their time stamps as they are.

On tmpfs only the first write to a mapped page touches mtime and ctime. A file that is mapped now
may therefore change later without any sign.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable


def mapped_inodes(pids: Iterable[int], become_reader: Callable[[], None]) -> set[int] | None:
    """Return the inode numbers of all files that these processes share a mapping of.

    A child does the reading, because the kernel shows mappings to a process's own user only.

    Args:
        pids: The processes; those that have ended are left out.
        become_reader: Turns the child into that user.

    Returns:
        The numbers, or None if a process hides its mappings, or the box has no room for the child.
    """
    read, write = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(read)
        os.close(write)
        return None
    if child == 0:
        status = 1
        try:
            os.close(read)
            become_reader()
            found = {number for pid in pids for number in _shared_by(pid)}
            with open(write, "w", encoding="ascii") as pipe:
                pipe.write(" ".join(map(str, found)))
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with open(read, encoding="ascii") as pipe:
        text = pipe.read()
    if os.waitpid(child, 0)[1] != 0:
        return None
    return {int(number) for number in text.split()}


def _shared_by(pid: int) -> set[int]:
    found: set[int] = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        with open(f"/proc/{pid}/maps", "rb") as file:
            # address, permissions, offset, device, inode, path
            lines = [line.split(None, 5) for line in file]
        found = {int(fields[4]) for fields in lines if fields[1].endswith(b"s")}
    return found
