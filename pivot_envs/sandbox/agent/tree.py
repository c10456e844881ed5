"""Tree, the workspace as a whole: scanned, and loaded in place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Mapping

from .bounds import BoundsError, Entry, check_changes
from .holders import Held
from .listing import is_folder, parent
from .removal import remove
from .scanner import DEFAULT_ROOT_MODE, DIRECTORY, Scanner
from .watch import Watch


class Tree:
    """The workspace of the box, and what the host knows of it."""

    def __init__(
        self,
        root: str,
        owner: tuple[int, int] | None,
        held_files: Callable[[bool], Held | None],
        max_bytes: int,
        watch: Watch | None = None,
    ) -> None:
        """Look after a folder.

        Args:
            root: The folder.
            owner: User and group of new entries if they differ from ours.
            held_files: As for ``Scanner``.
            max_bytes: Most bytes of all files together that a scan takes in.
            watch: Tells which folders changed; without, a scan looks at every file.
        """
        self.root = root
        self.owner = owner
        self.told: dict[str, Entry] = {}
        """What the host knows that the workspace holds, or held."""
        self._scanner = Scanner(root, held_files, max_bytes, watch)
        self.store = self._scanner.store
        self.forget = self._scanner.forget

    def news(self, fresh: dict[str, bytes]) -> tuple[dict[str, Entry], list[str]]:
        """Return the entries that are new or other than the host knows, and the paths gone.

        Args:
            fresh: Gets the blobs that had to be read.

        Raises:
            BoundsError: There is more than a state can hold, or something that cannot be read.
        """
        found = self._scanner.scan(fresh).entries
        paths = self._differing()
        changed = {path: found[path] for path in sorted(paths & found.keys())}
        changed = {path: entry for path, entry in changed.items() if self.told.get(path) != entry}
        return changed, sorted(path for path in paths if path in self.told and path not in found)

    def tell(self, changed: Mapping[str, Entry], removed: Collection[str]) -> None:
        """Note that the host knows the news."""
        self.told.update(changed)
        for path in removed:
            del self.told[path]
        self._scanner.touched = set()

    def told_nothing(self) -> None:
        """Note that the host has forgotten what it knew."""
        self.told = {}
        self._scanner.touched = None

    def scan_or_clear(self) -> None:
        """Look at the workspace, or empty it if commands left what no scan takes in."""
        try:
            self._scanner.scan()
        except BoundsError:
            self._clear()

    def _clear(self) -> None:
        # An agent that shares its user with the commands is stopped by modes.
        os.chmod(self.root, DEFAULT_ROOT_MODE)
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in os.listdir(descriptor):
                remove(name, descriptor)
        finally:
            os.close(descriptor)
        self._scanner.start_empty()

    def _differing(self) -> set[str]:
        """Return the paths at which what the last scan found may differ from ``told``."""
        touched = self._scanner.touched
        if touched is None:
            return self.told.keys() | self._scanner.listing.entries.keys()
        return touched

    def missing(self, wanted: Mapping[str, Entry], changed: Collection[str]) -> list[str]:
        """Return the hashes of contents that a load needs and this box lacks; see ``load``."""
        current = self._scanner.listing.entries
        names = {
            wanted[path].content
            for path in self._suspects(changed)
            if path in wanted
            and wanted[path].kind == "file"
            and not self._is_in_place(path, wanted[path], current)
        }
        return sorted(name for name in names if self.store.get(name) is None)

    def load(
        self, wanted: Mapping[str, Entry], changed: Collection[str], blobs: Mapping[str, bytes]
    ) -> None:
        """Make the workspace hold ``wanted``, and verify it; only what differs is touched.

        Nothing else may change the workspace between the last scan and the end.

        Args:
            wanted: Every entry by path.
            changed: The paths at which it differs from ``told``.
            blobs: Contents by name, as far as the box lacks them.

        Raises:
            ValueError: A path leaves the workspace, lies in no folder, or its content is missing;
                or the workspace differs afterwards.
            BoundsError: There is more than a workspace may hold.
        """
        check_changes(self.told, wanted, changed)
        listing = self._scanner.listing
        current, suspects = dict(listing.entries), self._suspects(changed)
        doomed = {path for path in suspects if _is_other(current.get(path), wanted.get(path))}
        doomed = (doomed - {"."}) | listing.strange
        self._scanner.touched = None
        self._remove(doomed, current)
        touched = set(map(parent, doomed))
        for path in sorted(suspects & wanted.keys()):
            entry = wanted[path]
            if path != "." and not self._is_in_place(path, entry, current):
                self._create(path, entry, blobs)
                touched.add(parent(path))
        for path in sorted(suspects & wanted.keys(), reverse=True):
            is_equal = wanted[path] == current.get(path) and path not in listing.linked
            if wanted[path].kind != "symlink" and not is_equal:
                os.chmod(os.path.join(self.root, path), wanted[path].mode)
                touched.add(parent(path))
        if "." not in wanted:
            os.chmod(self.root, DEFAULT_ROOT_MODE)
        for path in doomed:
            listing.drop(path)
        there = {folder for folder in touched if not folder or is_folder(wanted.get(folder))}
        found = self._scanner.rescan(there).entries
        if found != wanted:
            raise ValueError(f"the loaded workspace differs at {differences(wanted, found)[:5]}")
        self.told = dict(found)
        self._scanner.touched = set()

    def _suspects(self, changed: Collection[str]) -> set[str]:
        """Return the paths that a load has to look at."""
        return {*changed, *self._differing(), *self._scanner.listing.linked}

    def _is_in_place(self, path: str, entry: Entry, current: Mapping[str, Entry]) -> bool:
        """Tell whether a path can stay as it was when ``current`` was scanned.

        A state does not say which names are hard links of one file. They are taken apart by every
        load, so that a state means the same whatever the box held before.
        """
        there = current.get(path)
        is_equal = there is not None and (there.kind, there.content) == (entry.kind, entry.content)
        return is_equal and path not in self._scanner.listing.linked

    def _remove(self, unwanted: Collection[str], current: Mapping[str, Entry]) -> None:
        for path in unwanted:
            above, _, name = path.rpartition("/")
            # A folder goes with all that is in it.
            if above not in unwanted and (not above or above in current):
                descriptor = os.open(os.path.join(self.root, above), DIRECTORY)
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


def _is_other(entry: Entry | None, expected: Entry | None) -> bool:
    return entry is not None and (expected is None or expected.kind != entry.kind)


def differences(expected: Mapping[str, Entry], found: Mapping[str, Entry]) -> list[str]:
    """Return the paths at which two listings differ, sorted."""
    paths = expected.keys() | found.keys()
    return sorted(path for path in paths if expected.get(path) != found.get(path))
