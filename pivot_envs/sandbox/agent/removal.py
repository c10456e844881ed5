"""Removing folders, however deep they are: no recursion, and few descriptors."""

from __future__ import annotations

import contextlib
import os
import secrets

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def remove(name: str, parent: int) -> None:
    """Remove an entry with all that is below it; no link is followed.

    Folders inside are first moved beside the outermost one, so that no path gets long.

    Args:
        name: Its name.
        parent: Descriptor of the folder that it lies in.

    Raises:
        OSError: It cannot be removed.
    """
    with contextlib.suppress(IsADirectoryError):
        os.unlink(name, dir_fd=parent)
        return
    start = f".{secrets.token_hex(8)}"
    count = 0
    waiting = [name]
    while waiting:
        current = waiting.pop()
        folder = _open(current, parent)
        try:
            with os.scandir(folder) as listing:
                items = list(listing)
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    count += 1
                    waiting.append(f"{start}-{count}")
                    _move(item.name, folder, waiting[-1], parent)
                else:
                    os.unlink(item.name, dir_fd=folder)
        finally:
            os.close(folder)
        os.rmdir(current, dir_fd=parent)


def remove_box(folder: str) -> None:
    """Remove the folder of a box that has ended, as far as possible."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, _FOLDER)
        try:
            for name in os.listdir(descriptor):
                remove(name, descriptor)
        finally:
            os.close(descriptor)
        os.rmdir(folder)


def _open(name: str, parent: int) -> int:
    with contextlib.suppress(PermissionError):
        return os.open(name, _FOLDER, dir_fd=parent)
    os.chmod(name, 0o700, dir_fd=parent)
    return os.open(name, _FOLDER, dir_fd=parent)


def _move(name: str, folder: int, target: str, parent: int) -> None:
    with contextlib.suppress(PermissionError):
        os.rename(name, target, src_dir_fd=folder, dst_dir_fd=parent)
        return
    # Only the owner of a folder may move it, and write to the one that it lies in.
    os.fchmod(folder, 0o700)
    os.chmod(name, 0o700, dir_fd=folder)
    os.rename(name, target, src_dir_fd=folder, dst_dir_fd=parent)
