"""Tree, the workspace as a whole: scanned, and loaded in place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Mapping

from .bounds import Entry, check_entries
from .removal import remove
from .scanner import DEFAULT_ROOT_MODE, DIRECTORY, Scanner


class Tree:
    """The workspace of the box."""

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
        self.root = root
        self.owner = owner
        self._scanner = Scanner(root, mapped_files, max_bytes)
        self.store = self._scanner.store
        self.scan = self._scanner.scan
        self.forget = self._scanner.forget

    def clear(self) -> None:
        """Remove everything, whatever it is."""
        self._scanner.linked, self._scanner.strange = set(), set()
        # An agent that shares its user with the commands is stopped by modes.
        os.chmod(self.root, DEFAULT_ROOT_MODE)
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in os.listdir(descriptor):
                remove(name, descriptor)
        finally:
            os.close(descriptor)

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
    ) -> dict[str, Entry]:
        """Make the workspace equal to ``wanted``; only what differs from ``current`` is touched.

        Args:
            wanted: Every entry by path.
            current: What the last scan found. Nothing else may have changed the workspace since.
            blobs: Contents by name, as far as the box lacks them.

        Returns:
            What the workspace holds now; every folder in which anything was touched was looked at.

        Raises:
            ValueError: A path leaves the workspace, lies in no folder, or its content is missing.
            BoundsError: There is more than a workspace may hold.
        """
        check_entries(wanted)
        unwanted = {path for path, entry in current.items() if _is_other(entry, wanted.get(path))}
        unwanted.discard(".")
        doomed = unwanted | self._scanner.strange
        self._remove(doomed, current)
        touched = {path.rpartition("/")[0] for path in doomed}
        for path in sorted(wanted):
            entry = wanted[path]
            if path != "." and not self._is_in_place(path, entry, current):
                self._create(path, entry, blobs)
                touched.add(path.rpartition("/")[0])
        for path in sorted(wanted, reverse=True):
            is_equal = wanted[path] == current.get(path) and path not in self._scanner.linked
            if wanted[path].kind != "symlink" and not is_equal:
                os.chmod(os.path.join(self.root, path), wanted[path].mode)
                touched.add(path.rpartition("/")[0])
        if "." not in wanted:
            os.chmod(self.root, DEFAULT_ROOT_MODE)
        kept = {path: entry for path, entry in current.items() if path not in unwanted}
        there = {folder for folder in touched if not folder or _is_folder(wanted.get(folder))}
        return self._scanner.rescan(kept, there)

    def _is_in_place(self, path: str, entry: Entry, current: Mapping[str, Entry]) -> bool:
        """Tell whether a path can stay as it was when ``current`` was scanned.

        A state does not say which names are hard links of one file. They are taken apart by every
        load, so that a state means the same whatever the box held before.
        """
        there = current.get(path)
        is_equal = there is not None and (there.kind, there.content) == (entry.kind, entry.content)
        return is_equal and path not in self._scanner.linked

    def _remove(self, unwanted: Collection[str], current: Mapping[str, Entry]) -> None:
        for path in unwanted:
            parent, _, name = path.rpartition("/")
            # A folder goes with all that is in it.
            if parent not in unwanted and (not parent or parent in current):
                descriptor = os.open(os.path.join(self.root, parent), DIRECTORY)
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


def _is_other(entry: Entry, expected: Entry | None) -> bool:
    return expected is None or expected.kind != entry.kind


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and entry.kind == "directory"


def differences(expected: Mapping[str, Entry], found: Mapping[str, Entry]) -> list[str]:
    """Return the paths at which two listings differ, sorted."""
    paths = expected.keys() | found.keys()
    return sorted(path for path in paths if expected.get(path) != found.get(path))
