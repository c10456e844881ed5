"""Runs in a box, as an ordinary user: tells what it sees in the current folder.

``list`` shows a line for each entry, ``hash`` the hash of these lines. More words are paths to
leave out.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys

lines = []
hidden = [os.fsencode(word) for word in sys.argv[2:]]


def visit(folder: bytes) -> None:
    try:
        names = os.listdir(folder or b".")
    except PermissionError:
        return
    for path in (folder + b"/" + name if folder else name for name in names):
        found = None if path in hidden else describe(path)
        if found is not None:
            lines.append(repr((path, *found)))


def describe(path: bytes) -> tuple[str, int, bytes] | None:
    status = os.lstat(path)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return "symlink", 0, os.readlink(path)
    if stat.S_ISDIR(status.st_mode):
        visit(path)
        return "directory", mode, b""
    if not stat.S_ISREG(status.st_mode):  # pipes and sockets are no part of a tree
        return None
    if not mode & 0o400:
        return "file", mode, b"unreadable"
    with open(path, "rb") as file:
        return "file", mode, hashlib.sha256(file.read()).hexdigest().encode()


visit(b"")
text = "\n".join(sorted(lines))
sys.stdout.write(text if sys.argv[1] == "list" else hashlib.sha256(text.encode()).hexdigest())
