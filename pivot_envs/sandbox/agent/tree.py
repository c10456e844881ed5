"""Tree, the workspace as a whole: scanned, and loaded in place."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Mapping

from .blobs import BlobStore
from .bounds import BoundsError, Entry, Tally, check_entries
from .removal import remove

RACY_NS = 20_000_000
"""A file whose ctime is younger than this when it is hashed may change without a new stamp."""

DEFAULT_ROOT_MODE = 0o755

Known = tuple[tuple[int, ...], Entry]
"""The stamp of a file when it was read, which is empty if it says nothing, and its entry."""


class Tree:
    """The workspace of the box. Named pipes, sockets and devices in it are not part of it."""

    def __init__(
        self,
        root: str,
        owner: tuple[int, int] | None,
        mapped_files: Callable[[], set[int] | None],
        max_bytes: int,
    ) -> None:
        """Look after a folder.

        Args:
            root: The folder.
            owner: User and group of new entries if they differ from ours.
            mapped_files: Returns the inodes whose content may change without a new time stamp, or
                None if it can be any.
            max_bytes: Most bytes of all files together that a scan takes in.
        """
        self._max_bytes = max_bytes
        self._tally = Tally(max_bytes)
        self.root = root
        self.owner = owner
        self.store = BlobStore()
        self._stats: dict[str, Known] = {}
        self._mapped_files = mapped_files
        self._mapped: set[int] | None = set()
        self._linked: set[str] = set()
        self._strange: set[str] = set()
        """Named pipes, sockets and devices that the last scan saw."""
        self._began_ns = 0

    def scan(self, fresh: dict[str, bytes] | None = None) -> dict[str, Entry]:
        """Return every entry by path; ``fresh`` gets the blobs that had to be read.

        Raises:
            BoundsError: There is more than a state can hold, or something that cannot be read.
        """
        self._tally = Tally(self._max_bytes)
        found: dict[str, Entry] = {}
        stats: dict[str, Known] = {}
        self._began_ns = time.time_ns()
        self._mapped = self._mapped_files()
        self._linked, self._strange = set(), set()
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            if mode != DEFAULT_ROOT_MODE:
                found["."] = Entry("directory", mode, "")
            self._scan_directory(descriptor, "", found, stats, {} if fresh is None else fresh)
        except PermissionError as error:
            # Only an agent that shares its user with the commands meets modes that stop it.
            raise BoundsError(f"{error.filename!r} cannot be read: {error.strerror}") from error
        finally:
            os.close(descriptor)
        self._stats = stats
        return found

    def clear(self) -> None:
        """Remove everything, whatever it is."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in os.listdir(descriptor):
                remove(name, descriptor)
        finally:
            os.close(descriptor)

    def forget(self) -> None:
        """Trust no earlier scan: the next one reads every file."""
        self._stats = {}

    def missing(self, wanted: Mapping[str, Entry], current: Mapping[str, Entry]) -> list[str]:
        """Return the hashes of contents that a load needs and this box lacks."""
        names = {
            entry.content
            for path, entry in wanted.items()
            if entry.kind == "file" and not self._is_in_place(path, entry, current)
        }
        return sorted(name for name in names if self.store.get(name) is None)

    def load(
        self,
        wanted: Mapping[str, Entry],
        current: Mapping[str, Entry],
        blobs: Mapping[str, bytes],
    ) -> None:
        """Make the workspace equal to ``wanted``; only what differs from ``current`` is touched.

        Raises:
            ValueError: A path leaves the workspace, lies in no folder, or its content is missing.
        """
        check_entries(wanted)
        self._remove_unwanted(wanted, current)
        for path in sorted(wanted):
            entry = wanted[path]
            if path != "." and not self._is_in_place(path, entry, current):
                self._create(path, entry, blobs)
        for path in sorted(wanted, reverse=True):
            is_equal = wanted[path] == current.get(path) and path not in self._linked
            if wanted[path].kind != "symlink" and not is_equal:
                os.chmod(os.path.join(self.root, path), wanted[path].mode)
        if "." not in wanted:
            os.chmod(self.root, DEFAULT_ROOT_MODE)

    def _is_in_place(self, path: str, entry: Entry, current: Mapping[str, Entry]) -> bool:
        """Tell whether a path can stay as it was when ``current`` was scanned.

        A state does not say which names are hard links of one file. They are taken apart by every
        load, so that a state means the same whatever the box held before.
        """
        there = current.get(path)
        is_equal = there is not None and (there.kind, there.content) == (entry.kind, entry.content)
        return is_equal and path not in self._linked

    def _scan_directory(
        self,
        descriptor: int,
        prefix: str,
        found: dict[str, Entry],
        stats: dict[str, Known],
        fresh: dict[str, bytes],
    ) -> None:
        with os.scandir(descriptor) as listing:
            entries = list(listing)
        for item in entries:
            for _ in range(_ATTEMPTS):
                try:
                    self._scan_entry(descriptor, item.name, prefix, found, stats, fresh)
                except FileNotFoundError:
                    break
                except OSError as error:
                    if error.errno not in _REPLACED:
                        raise
                else:
                    break

    def _scan_entry(
        self,
        descriptor: int,
        name: str,
        prefix: str,
        found: dict[str, Entry],
        stats: dict[str, Known],
        fresh: dict[str, bytes],
    ) -> None:
        path = prefix + name
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            known = self._stats.get(path)
            self._tally.add(path, size=status.st_size)
            if known is None or known[0] != _stamp(status) or self._may_be_mapped(status):
                known = self._read(descriptor, name, path, status, fresh)
            if known[0]:
                stats[path] = known
            if status.st_nlink > 1:
                self._linked.add(path)
            found[path] = known[1]
        elif kind == stat.S_IFLNK:
            target = os.readlink(name, dir_fd=descriptor)
            self._tally.add(path, target=target)
            found[path] = Entry("symlink", 0, target)
        elif kind == stat.S_IFDIR:
            self._tally.add(path)
            inner = os.open(name, _DIRECTORY, dir_fd=descriptor)
            try:
                found[path] = Entry("directory", stat.S_IMODE(status.st_mode), "")
                self._scan_directory(inner, path + "/", found, stats, fresh)
            finally:
                os.close(inner)
        else:
            self._strange.add(path)

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

    def _remove_unwanted(self, wanted: Mapping[str, Entry], current: Mapping[str, Entry]) -> None:
        """Remove what the last scan, which gave ``current``, saw and is not wanted as it is."""
        unwanted = {path for path, entry in current.items() if _is_other(entry, wanted.get(path))}
        unwanted.discard(".")
        unwanted |= self._strange
        for path in unwanted:
            parent, _, name = path.rpartition("/")
            # A folder goes with all that is in it.
            if parent not in unwanted and (not parent or parent in current):
                descriptor = os.open(os.path.join(self.root, parent), _DIRECTORY)
                try:
                    remove(name, descriptor)
                finally:
                    os.close(descriptor)

    def _create(self, path: str, entry: Entry, blobs: Mapping[str, bytes]) -> None:
        real = os.path.join(self.root, path)
        if entry.kind == "directory":
            os.mkdir(real, 0o700)
            self._own(real)
            return
        # A new file rather than new bytes in the old one: the old one may have other names.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(real)
        if entry.kind == "symlink":
            os.symlink(entry.content, real)
            self._own(real)
            return
        blob = blobs.get(entry.content)
        if blob is None:
            blob = self.store.get(entry.content)
        if blob is None:
            raise ValueError(f"the content of {path} is missing")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(real, flags, 0o600), "wb", buffering=0) as file:
            view = memoryview(blob)
            while view:
                view = view[file.write(view) :]
        self._own(real)

    def _own(self, real: str) -> None:
        if self.owner is not None:
            os.chown(real, *self.owner, follow_symlinks=False)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_mode,
    )


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW

_ATTEMPTS = 10
"""How often an entry is looked at that background processes replace all the time."""

_REPLACED = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EINVAL, errno.ESTALE)
"""What opening an entry says if it has become one of another kind."""


def _is_other(entry: Entry, expected: Entry | None) -> bool:
    return expected is None or expected.kind != entry.kind


def differences(expected: Mapping[str, Entry], found: Mapping[str, Entry]) -> list[str]:
    """Return the paths at which two listings differ, sorted."""
    paths = expected.keys() | found.keys()
    return sorted(path for path in paths if expected.get(path) != found.get(path))
