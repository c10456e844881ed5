"""Listing, the host's copy of what a box holds, kept up to date by what changes."""

from collections import Counter
from collections.abc import Iterable, Mapping

from pivot_envs.sandbox.base import FileEntry


class Listing:
    """Entries of a workspace by path."""

    def __init__(self, entries: Mapping[str, FileEntry] | None = None) -> None:
        """Hold these entries."""
        self.entries: dict[str, FileEntry] = dict(entries or {})
        self.names: Counter[str] = Counter(
            entry.content for entry in self.entries.values() if entry.kind == "file"
        )
        """Hashes of all contents, and how often each is used."""
        self._sorted: tuple[FileEntry, ...] | None = None

    def change(self, changed: Iterable[FileEntry], removed: Iterable[str]) -> None:
        """Take in entries that are new or have changed, and leave out those that are gone."""
        changed = list(changed)
        for path in (*removed, *(entry.path for entry in changed)):
            self._leave_out(path)
        for entry in changed:
            self.entries[entry.path] = entry
            if entry.kind == "file":
                self.names[entry.content] += 1
            self._sorted = None

    def differences(self, wanted: Mapping[str, FileEntry]) -> tuple[list[FileEntry], list[str]]:
        """Return what has to change to get to other entries: those, and the paths to remove."""
        before = self.entries
        changed = [
            entry
            for path, entry in wanted.items()
            if (there := before.get(path)) is not entry and there != entry
        ]
        return changed, list(before.keys() - wanted.keys())

    def files(self) -> tuple[FileEntry, ...]:
        """Return all entries, sorted by path."""
        if self._sorted is None:
            self._sorted = tuple(map(self.entries.__getitem__, sorted(self.entries)))
        return self._sorted

    def _leave_out(self, path: str) -> None:
        entry = self.entries.pop(path, None)
        self._sorted = None
        if entry is not None and entry.kind == "file":
            self.names[entry.content] -= 1
            if not self.names[entry.content]:
                del self.names[entry.content]
