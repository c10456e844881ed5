"""Scanner, what the workspace holds, found out with as little reading as possible."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from .blobs import BlobStore
from .bounds import BoundsError, Entry, Tally

RACY_NS = 20_000_000
"""A file whose ctime is younger than this when it is hashed may change without a new stamp."""

DEFAULT_ROOT_MODE = 0o755

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
"""How folders are opened that commands may have replaced by links."""

Known = tuple[tuple[int, ...], Entry]
"""The stamp of a file when it was read, which is empty if it says nothing, and its entry."""


class _Look(NamedTuple):
    """What one look at the workspace has gathered so far."""

    found: dict[str, Entry]
    stats: dict[str, Known]
    fresh: dict[str, bytes]
    deep: bool
    """Whether it goes on below the folders that it began with."""


class Scanner:
    """Scans a folder. Named pipes, sockets and devices are not entries of it."""

    def __init__(
        self, root: str, mapped_files: Callable[[], set[int] | None], max_bytes: int
    ) -> None:
        """Look after a folder.

        Args:
            root: The folder.
            mapped_files: Returns the inodes whose content may change without a new time stamp, or
                None if it can be any.
            max_bytes: Most bytes of all files together that a scan takes in.
        """
        self.store = BlobStore()
        self.linked: set[str] = set()
        """Files with more than one name that the last scan saw."""
        self.strange: set[str] = set()
        """Named pipes, sockets and devices that it saw."""
        self._root = root
        self._mapped_files = mapped_files
        self._max_bytes = max_bytes
        self._tally = Tally(max_bytes)
        self._stats: dict[str, Known] = {}
        self._sizes: dict[str, int] = {}
        self._mapped: set[int] | None = set()
        self._began_ns = 0

    def scan(self, fresh: dict[str, bytes] | None = None) -> dict[str, Entry]:
        """Return every entry by path; ``fresh`` gets the blobs that had to be read.

        Raises:
            BoundsError: There is more than a state can hold, or something that cannot be read.
        """
        look = _Look({}, {}, {} if fresh is None else fresh, deep=True)
        return self._look_at({""}, look)

    def rescan(self, kept: Mapping[str, Entry], folders: Collection[str]) -> dict[str, Entry]:
        """Return every entry where only the direct contents of some folders changed.

        Args:
            kept: What the last scan found, without what has been removed since.
            folders: Paths of the changed folders; empty for the workspace itself.

        Raises:
            BoundsError: As in ``scan``.
        """
        found = {
            path: entry
            for path, entry in kept.items()
            if path != "." and path.rpartition("/")[0] not in folders
        }
        stats = {path: known for path, known in self._stats.items() if path in found}
        return self._look_at(folders, _Look(found, stats, {}, deep=False))

    def forget(self) -> None:
        """Trust no earlier scan: the next one reads every file."""
        self._stats = {}

    def _look_at(self, folders: Collection[str], look: _Look) -> dict[str, Entry]:
        """Add what the folders hold to what is found already, and return all of it."""
        self._tally = Tally(self._max_bytes)
        self._sizes = {path: size for path, size in self._sizes.items() if path in look.found}
        self._began_ns = time.time_ns()
        self._mapped = self._mapped_files()
        self.linked, self.strange = set(), set()
        mode = stat.S_IMODE(os.stat(self._root).st_mode)
        if mode != DEFAULT_ROOT_MODE:
            look.found["."] = Entry("directory", mode, "")
        try:
            for folder in folders:
                descriptor = os.open(os.path.join(self._root, folder), DIRECTORY)
                try:
                    prefix = f"{folder}/" if folder else ""
                    self._scan_directory(descriptor, prefix, look)
                finally:
                    os.close(descriptor)
        except PermissionError as error:
            # Only an agent that shares its user with the commands meets modes that stop it.
            raise BoundsError(f"{error.filename!r} cannot be read: {error.strerror}") from error
        # The tally knows only what this look has seen.
        if sum(self._sizes.values()) > self._max_bytes:
            raise BoundsError(f"the files are larger than {self._max_bytes} bytes together")
        self._stats = look.stats
        return look.found

    def _scan_directory(self, descriptor: int, prefix: str, look: _Look) -> None:
        with os.scandir(descriptor) as listing:
            entries = list(listing)
        for item in entries:
            for _ in range(_ATTEMPTS):
                try:
                    self._scan_entry(descriptor, item.name, prefix, look)
                except FileNotFoundError:
                    break
                except OSError as error:
                    if error.errno not in _REPLACED:
                        raise
                else:
                    break

    def _scan_entry(self, descriptor: int, name: str, prefix: str, look: _Look) -> None:
        path = prefix + name
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            known = self._stats.get(path)
            self._tally.add(path, size=status.st_size)
            self._sizes[path] = status.st_size
            if known is None or known[0] != _stamp(status) or self._may_be_mapped(status):
                known = self._read(descriptor, name, path, status, look.fresh)
            if known[0]:
                look.stats[path] = known
            if status.st_nlink > 1:
                self.linked.add(path)
            look.found[path] = known[1]
        elif kind == stat.S_IFLNK:
            target = os.readlink(name, dir_fd=descriptor)
            self._tally.add(path, target=target)
            look.found[path] = Entry("symlink", 0, target)
        elif kind == stat.S_IFDIR:
            self._tally.add(path)
            entry = Entry("directory", stat.S_IMODE(status.st_mode), "")
            if not look.deep:
                look.found[path] = entry
                return
            inner = os.open(name, DIRECTORY, dir_fd=descriptor)
            try:
                look.found[path] = entry
                self._scan_directory(inner, path + "/", look)
            finally:
                os.close(inner)
        else:
            self.strange.add(path)

    def _may_be_mapped(self, status: os.stat_result) -> bool:
        return self._mapped is None or status.st_ino in self._mapped

    def _read(
        self,
        descriptor: int,
        name: str,
        path: str,
        status: os.stat_result,
        fresh: dict[str, bytes],
    ) -> Known:
        """Read a file; what is known of it has no stamp if it may change without a new one."""
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
        with open(file, "rb", buffering=0) as reader:
            if not os.path.samestat(os.fstat(file), status):
                raise OSError(errno.ESTALE, "replaced while it was looked at", path)
            blob = reader.readall()
        content = hashlib.sha256(blob).hexdigest()
        self.store.add(content, blob)
        fresh[content] = blob
        is_settled = self._began_ns - status.st_ctime_ns > RACY_NS
        stamp = _stamp(status) if is_settled and not self._may_be_mapped(status) else ()
        return stamp, Entry("file", stat.S_IMODE(status.st_mode), content)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_mode,
    )


_ATTEMPTS = 10
"""How often an entry is looked at that background processes replace all the time."""

_REPLACED = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EINVAL, errno.ESTALE)
"""What opening an entry says if it has become one of another kind."""
