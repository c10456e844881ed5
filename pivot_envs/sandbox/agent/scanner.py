"""Scanner, what the workspace holds, found out with as little reading as possible."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Collection

from .blobs import BlobStore
from .bounds import BoundsError, Entry, check_depth
from .holders import Held
from .listing import Known, Listing, is_folder, parent, stamp_of
from .watch import Watch

RACY_NS = 20_000_000
"""A file whose ctime is younger than this when it is hashed may change without a new stamp."""

DEFAULT_ROOT_MODE = 0o755

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
"""How folders are opened that commands may have replaced by links."""


class Scanner:
    """Scans a folder. Named pipes, sockets and devices are not entries of it.

    A scan looks at every file's stamp, or, with a watch, only into the folders in which something
    happened or may have.
    """

    def __init__(
        self,
        root: str,
        held_files: Callable[[bool], Held | None],
        max_bytes: int,
        watch: Watch | None = None,
        large: int = 200,
    ) -> None:
        """Look after a folder.

        Args:
            root: The folder.
            held_files: Returns the inodes that processes hold, or None if it can be any; open
                files only if it is asked for them.
            max_bytes: Most bytes of all files together that a scan takes in.
            watch: Tells which folders changed, provided that nothing but the processes that
                ``held_files`` looks at can hold a file.
            large: Entries from which on it is asked: fewer are looked through in less time.
        """
        self.store = BlobStore()
        self.listing = Listing(max_bytes)
        self.touched: set[str] | None = None
        """Paths whose entries may differ from what they were when this was last emptied, or None
        if it can be all."""
        self._root = root
        self._held_files = held_files
        self._max_bytes = max_bytes
        self._watch = watch
        self._large = large
        self._is_complete = False
        self._known: dict[str, Known] = {}
        self._fresh: dict[str, bytes] = {}
        self._looked: set[str] = set()
        self._held: Held | None = None
        self._held_folders: set[str] = set()
        self._began_ns = 0

    def scan(self, fresh: dict[str, bytes] | None = None) -> Listing:
        """Look at what may have changed, and return everything; ``fresh`` gets the blobs read.

        Raises:
            BoundsError: There is more than a state can hold, or something that cannot be read.
        """
        is_large = self._watch is not None and len(self.listing.entries) >= self._large
        self._held = self._held_files(is_large)
        folders = self._suspects() if is_large else None
        self._begin(fresh)
        try:
            if folders is None or not self._look_into(folders):
                self._look_at_all()
            self._is_complete = is_large
        except PermissionError as error:
            # Only an agent that shares its user with the commands meets modes that stop it.
            raise BoundsError(f"{error.filename!r} cannot be read: {error.strerror}") from error
        return self.listing

    def rescan(self, folders: Collection[str]) -> Listing:
        """Look into folders where something changed, while nothing else may change anything.

        Args:
            folders: Paths of the changed folders; empty for the workspace itself. Those that are
                gone were dropped from the listing.

        Raises:
            BoundsError: As in ``scan``.
        """
        self._is_complete = False
        self._held, self._held_folders = Held(set(), set()), set()
        self._begin(None)
        for folder in sorted(folders):
            if folder not in self._looked:
                self._look_into_one(folder)
        if self._watch is not None:
            # What has been told of so far has been seen.
            self._watch.changed()
        self._is_complete = True
        return self.listing

    def forget(self) -> None:
        """Trust no earlier scan: the next one reads every file."""
        self.listing.files = {}
        self._is_complete = False

    def start_empty(self) -> None:
        """Take the folder for empty, as it was just emptied."""
        self.listing = Listing(self._max_bytes)
        self.listing.folders[""] = set()
        self._is_complete = False
        self.touched = None

    def _begin(self, fresh: dict[str, bytes] | None) -> None:
        self._fresh = {} if fresh is None else fresh
        self._known, self._looked = {}, set()
        self._touch(".")
        self._began_ns = time.time_ns()
        entries = self.listing.entries
        mode = stat.S_IMODE(os.stat(self._root).st_mode)
        entries.pop(".", None)
        if mode != DEFAULT_ROOT_MODE:
            entries["."] = Entry("directory", mode, "")

    def _suspects(self) -> set[str] | None:
        """Return the folders in which a file may have changed, or None if it can be any."""
        changed = None if self._watch is None else self._watch.changed()
        if changed is None or self._held is None or self._held.may_be_more:
            return None
        if not self._is_complete:
            return None
        # What was held at the last scan may have changed before it was let go.
        before, self._held_folders = self._held_folders, set()
        self._note_held()
        return changed | before | self._held_folders | set(map(parent, self.listing.linked))

    def _look_into(self, folders: set[str]) -> bool:
        """Look into some folders; return whether the others can be left alone."""
        self._is_complete = False
        linked = set(self.listing.linked)
        if not folders <= self.listing.folders.keys():
            return False
        for folder in folders:
            inner = {path for path in self.listing.folders[folder] if path in self.listing.folders}
            try:
                self._look_into_one(folder)
            except OSError as error:
                if error.errno not in (errno.ENOENT, *_REPLACED):
                    raise
                return False
            if not all(is_folder(self.listing.entries.get(path)) for path in inner):
                return False
        self._note_held()
        return self.listing.linked <= linked

    def _look_into_one(self, folder: str) -> None:
        self._known = self.listing.files
        descriptor = self._open(folder)
        try:
            self._look_at(descriptor, folder)
        finally:
            os.close(descriptor)

    def _look_at_all(self) -> None:
        self._is_complete = False
        self.touched = None
        self._known = self.listing.files
        root = self.listing.entries.get(".")
        self.listing = Listing(self._max_bytes)
        if root is not None:
            self.listing.entries["."] = root
        descriptor = os.open(self._root, DIRECTORY)
        try:
            self._look_at(descriptor, "")
        finally:
            os.close(descriptor)
        self._held_folders = set()
        self._note_held()

    def _note_held(self) -> None:
        if self._held is not None:
            self._held_folders |= self.listing.folders_of(self._held.mapped | self._held.opened)

    def _touch(self, path: str) -> None:
        if self.touched is not None:
            self.touched.add(path)

    def _open(self, folder: str) -> int:
        """Open a folder by names alone, so that no link planted meanwhile leads outside."""
        descriptor = os.open(self._root, DIRECTORY)
        for name in folder.split("/") if folder else ():
            try:
                inner = os.open(name, DIRECTORY, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = inner
        return descriptor

    def _look_at(self, descriptor: int, folder: str) -> None:
        """Take in what a folder holds, and what folders hold that were not there before."""
        self._looked.add(folder)
        if self._watch is not None:
            self._watch.add(folder, descriptor)
        self.listing.forget_strange(folder)
        gone = set(self.listing.folders.setdefault(folder, set()))
        prefix = f"{folder}/" if folder else ""
        for name in os.listdir(descriptor):
            if self._is_entry(descriptor, name, folder, prefix + name):
                gone.discard(prefix + name)
        for path in gone:
            self._touch(path)
            self.listing.remove(folder, path)
            self.listing.files.pop(path, None)

    def _is_entry(self, descriptor: int, name: str, folder: str, path: str) -> bool:
        """Take in what a name stands for; return whether it is an entry."""
        for _ in range(_ATTEMPTS):
            try:
                return self._look_at_entry(descriptor, name, folder, path)
            except FileNotFoundError:
                return False
            except OSError as error:
                if error.errno not in _REPLACED:
                    raise
        return False

    def _look_at_entry(self, descriptor: int, name: str, folder: str, path: str) -> bool:
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            known = self._known.get(path)
            is_same = known is not None and known.is_settled and known.stamp == stamp_of(status)
            if known is None or not is_same or self._may_be_mapped(status):
                known = self._read(descriptor, name, path, status)
            self.listing.files[path] = known
            self._take(folder, path, known.entry, status.st_size)
            if status.st_nlink > 1:
                self.listing.linked.add(path)
            else:
                self.listing.linked.discard(path)
        elif kind == stat.S_IFLNK:
            self._take(folder, path, Entry("symlink", 0, os.readlink(name, dir_fd=descriptor)))
        elif kind == stat.S_IFDIR:
            entry = Entry("directory", stat.S_IMODE(status.st_mode), "")
            if path not in self.listing.folders:
                self._look_at_folder(descriptor, name, path)
            self._take(folder, path, entry)
        else:
            self.listing.strange.add(path)
            return False
        return True

    def _look_at_folder(self, above: int, name: str, folder: str) -> None:
        check_depth(folder)
        descriptor = os.open(name, DIRECTORY, dir_fd=above)
        try:
            self._look_at(descriptor, folder)
        finally:
            os.close(descriptor)

    def _take(self, folder: str, path: str, entry: Entry, size: int = 0) -> None:
        there = self.listing.entries.get(path)
        # What has the same content has the same size.
        if there is not entry and there != entry:
            self._touch(path)
            self.listing.add(folder, path, entry, size)

    def _may_be_mapped(self, status: os.stat_result) -> bool:
        return self._held is None or status.st_ino in self._held.mapped

    def _read(self, descriptor: int, name: str, path: str, status: os.stat_result) -> Known:
        """Read a file."""
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
        with open(file, "rb", buffering=0) as reader:
            if not os.path.samestat(os.fstat(file), status):
                raise OSError(errno.ESTALE, "replaced while it was looked at", path)
            blob = reader.readall()
        content = hashlib.sha256(blob).hexdigest()
        self.store.add(content, blob)
        self._fresh[content] = blob
        is_settled = self._began_ns - status.st_ctime_ns > RACY_NS
        entry = Entry("file", stat.S_IMODE(status.st_mode), content)
        return Known(stamp_of(status), is_settled and not self._may_be_mapped(status), entry)


_ATTEMPTS = 10
"""How often an entry is looked at that background processes replace all the time."""

_REPLACED = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EINVAL, errno.ESTALE)
"""What opening an entry says if it has become one of another kind."""
