"""Files, the workspace's single files: read and written by path."""

from __future__ import annotations

import contextlib
import os
import stat

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Files:
    """Regular files below one folder; no path and no link leads out of it."""

    def __init__(self, root: str, owner: tuple[int, int] | None) -> None:
        """Look after ``root``; new entries get ``owner`` (uid, gid) if it differs from ours."""
        self.root = root
        self.owner = owner

    def read(self, path: str) -> bytes:
        """Return a regular file of the workspace.

        Raises:
            ValueError: ``path`` leaves the workspace.
            OSError: There is no regular file.
        """
        descriptor = self._open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileNotFoundError(f"{path!r} is no regular file")
            with open(descriptor, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(descriptor)

    def write(self, path: str, content: bytes) -> None:
        """Write a regular file in place; missing folders are created.

        Raises:
            ValueError: ``path`` leaves the workspace or names no regular file.
            OSError: It cannot be written.
        """
        descriptor = self._open(path, os.O_WRONLY | os.O_NONBLOCK, create=True)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError(f"{path!r} is no regular file")
            os.ftruncate(descriptor, 0)
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)

    def _open(self, path: str, flags: int, create: bool = False) -> int:
        """Open a file by names alone, so that no link planted meanwhile leads outside."""
        real = os.path.realpath(os.path.join(self.root, path))
        if not real.startswith(self.root + "/"):
            raise ValueError(f"{path!r} is outside the workspace or the workspace itself")
        parts = real[len(self.root) + 1 :].split("/")
        directory = os.open(self.root, _DIRECTORY)
        try:
            for part in parts[:-1]:
                if create:
                    self._make_directory(part, directory)
                inner = os.open(part, _DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = inner
            return self._open_last(parts[-1], flags, directory, create)
        except IsADirectoryError as error:
            raise ValueError(f"{path!r} is a folder") from error
        finally:
            os.close(directory)

    def _make_directory(self, name: str, directory: int) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=directory)
            if self.owner is not None:
                os.chown(name, *self.owner, dir_fd=directory, follow_symlinks=False)

    def _open_last(self, name: str, flags: int, directory: int, create: bool) -> int:
        flags |= os.O_NOFOLLOW
        try:
            return os.open(name, flags, dir_fd=directory)
        except FileNotFoundError:
            if not create:
                raise
        descriptor = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory)
        if self.owner is not None:
            os.fchown(descriptor, *self.owner)
        return descriptor
