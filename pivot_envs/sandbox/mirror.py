"""Mirror, what the host knows of a box's workspace, so that only changes pass between them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pivot_envs.errors import SandboxError, SnapshotError
from pivot_envs.sandbox.agent.bounds import check_changes
from pivot_envs.sandbox.base import FileEntry, SandboxState
from pivot_envs.sandbox.listing import Listing
from pivot_envs.snapshot import sha256

MAX_CACHED_BYTES = 256 * 1024 * 1024
"""Blobs that are remembered beyond those of the last state."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The way from what a box holds to a state."""

    entries: Sequence[FileEntry]
    """Those that are new or different."""
    removed: Sequence[str]
    """Paths of those that are gone."""
    count: int
    """Entries of the whole state."""


class Mirror:
    """The listing that box and host agree on, and the contents that the host has seen."""

    def __init__(self) -> None:
        """Know nothing, as of a box that is empty."""
        self._listing = Listing()
        self._blobs: dict[str, bytes] = {}
        self._cached_bytes = 0
        self._must_forget = False

    def forget(self) -> bool:
        """Tell whether the box has to be told everything anew; then nothing is known of it."""
        if self._must_forget:
            self._listing = Listing()
        return self._must_forget

    def doubt(self) -> None:
        """Have the next request start anew: a load has failed on its way."""
        self._must_forget = True

    def take_saved(
        self, changed: Sequence[Sequence[Any]], removed: Sequence[str], blobs: Iterable[bytes]
    ) -> None:
        """Take in what the box told of a save."""
        self._must_forget = False
        for blob in blobs:
            self._remember(sha256(blob), blob)
        if changed or removed:
            self._listing.change((FileEntry(*fields) for fields in changed), removed)

    def changes_to(self, state: SandboxState) -> Changes:
        """Return what a box has to change to get to a state; contents are known from then on.

        Raises:
            SnapshotError: A path is none, or a content is missing or damaged.
        """
        wanted = {entry.path: entry for entry in state.files}
        changed, removed = self._listing.differences(wanted)
        try:
            paths = [*(entry.path for entry in changed), *removed]
            check_changes(self._listing.entries, wanted, paths)
        except ValueError as error:
            raise SnapshotError(f"the state cannot be loaded: {error}") from error
        # What the box holds already was remembered when it was saved or loaded.
        self._take_blobs(state.blobs, changed)
        return Changes(changed, removed, len(wanted))

    def take_loaded(self, changes: Changes) -> None:
        """Take note that the box has made these changes."""
        self._must_forget = False
        self._listing.change(changes.entries, changes.removed)

    def contents(self, names: Iterable[str]) -> list[bytes]:
        """Return contents of which the box says that it lacks them."""
        return [self._blobs[name] for name in names]

    def state(self, shell: str) -> SandboxState:
        """Return what the box holds, with this state of its shell.

        Raises:
            SandboxError: The box named a content that it never sent.
        """
        try:
            blobs = {name: self._blobs[name] for name in self._listing.names}
        except KeyError as error:
            raise SandboxError("the box broke its protocol: it kept a blob back") from error
        files = self._listing.files()
        if self._cached_bytes > MAX_CACHED_BYTES and (
            self._cached_bytes > MAX_CACHED_BYTES + sum(len(blob) for blob in blobs.values())
        ):
            self._blobs, self._cached_bytes, self._must_forget = {}, 0, True
        return SandboxState(files, shell, blobs)

    def _remember(self, name: str, blob: bytes) -> None:
        if name not in self._blobs:
            self._blobs[name] = blob
            self._cached_bytes += len(blob)

    def _take_blobs(self, blobs: Mapping[str, bytes], entries: Iterable[FileEntry]) -> None:
        """Remember the contents of entries; each is hashed when it is first seen."""
        names = {entry.content for entry in entries if entry.kind == "file"}
        for name in names - self._blobs.keys():
            blob = blobs.get(name)
            if blob is None:
                raise SnapshotError(f"the state lacks the blob {name!r:.20}")
            if sha256(blob) != name:
                raise SnapshotError(f"the blob {name!r:.20} differs from what its name says")
            self._remember(name, blob)
