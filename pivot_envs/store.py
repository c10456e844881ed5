"""SnapshotStore, snapshots on disk: content-addressed blobs and JSON manifests."""

import contextlib
import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from pivot_envs.blobs import BlobFolder, MissingBlobError
from pivot_envs.errors import SnapshotError, StoreError
from pivot_envs.files import is_written, read_file, remove_file, replace_file
from pivot_envs.snapshot import Snapshot

LOCK_TIMEOUT_S = 60.0
_LOCK_POLL_S = 0.005
_SHA256 = re.compile(r"[0-9a-f]{64}")


class SnapshotStore:
    """A folder of snapshots in which equal blobs are kept once.

    The folder has ``blobs/ab/<sha256>`` (zstd-compressed) and ``manifests/<id>.json``; a
    snapshot's id is its digest. Every file is replaced atomically, and whatever writes or removes
    excludes the others with a lock file that the kernel frees when its holder dies. So any number
    of threads and processes may share a store, and one of them may collect while the others put.
    Nothing is created before the first ``put``. A killed program loses nothing that ``put`` has
    returned; a power failure may damage what was put in the last seconds, which ``get`` notices
    and putting it again mends.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int | None = None) -> None:
        """Name the folder of the store.

        Args:
            path: The folder; it need not exist.
            max_bytes: Most bytes that blobs and manifests may take on disk, compressed; a ``put``
                that would exceed it is refused. No limit if ``None``. It binds this object, not
                the folder: give it to every writer.

        Raises:
            ValueError: ``max_bytes`` is below 1.
        """
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1 or None, got {max_bytes}")
        self.path = Path(path)
        self.max_bytes = max_bytes
        self._blobs = BlobFolder(self.path / "blobs")

    def put(self, snapshot: Snapshot) -> str:
        """Store a snapshot and return its id; one that is stored already costs a look.

        Raises:
            SnapshotError: The snapshot is damaged.
            StoreError: The store cannot be written, or would exceed ``max_bytes``; nothing stored
                before is lost.
        """
        snapshot.verify()
        path = self._manifest_path(snapshot.digest)
        # Compressing takes the longest by far, so it is done before others are kept waiting.
        compressed = self._blobs.compressed(snapshot.blobs)
        with self._locked():
            # Meanwhile another process may have written some of them, or collected others.
            known = {name: blob for name, blob in snapshot.blobs.items() if name not in compressed}
            compressed |= self._blobs.compressed(known)
            manifest = b"" if is_written(path) else json.dumps(snapshot.manifest()).encode("ascii")
            if compressed or manifest:
                self._write(path, manifest, compressed)
        return snapshot.digest

    def get(self, snapshot_id: str) -> Snapshot:
        """Return a stored snapshot, verified.

        Raises:
            StoreError: There is no such snapshot, or a file cannot be read.
            SnapshotError: The manifest or a blob is damaged or missing.
        """
        try:
            snapshot = self._read(snapshot_id)
        except MissingBlobError:
            # Another process may have deleted and collected it since its manifest was read.
            with contextlib.ExitStack() as stack:
                # A store that cannot be locked, as it may only be read, cannot change either.
                with contextlib.suppress(StoreError):
                    stack.enter_context(self._locked())
                snapshot = self._read(snapshot_id)
        snapshot.verify()
        if snapshot.digest != snapshot_id:
            raise SnapshotError(
                f"{self._manifest_path(snapshot_id)} holds the snapshot {snapshot.digest[:12]}: "
                "remove that file and put the snapshot again"
            )
        return snapshot

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all stored snapshots, sorted.

        Raises:
            StoreError: The folder cannot be read.
        """
        try:
            paths = list((self.path / "manifests").iterdir())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror or error}") from error
        stems = sorted(path.stem for path in paths if path.suffix == ".json")
        return tuple(stem for stem in stems if _SHA256.fullmatch(stem))

    def __contains__(self, snapshot_id: object) -> bool:
        return (
            isinstance(snapshot_id, str)
            and _SHA256.fullmatch(snapshot_id) is not None
            and self._manifest_path(snapshot_id).is_file()
        )

    def delete(self, snapshot_id: str) -> None:
        """Remove a snapshot; its blobs stay, and count, until ``collect``.

        Raises:
            StoreError: There is no such snapshot, or it cannot be removed.
        """
        path = self._manifest_path(snapshot_id)
        with self._locked():
            self._void_size()
            remove_file(path)

    def collect(self) -> int:
        """Remove blobs that no snapshot names and leftovers of crashed writers.

        Returns:
            The number of files removed.

        Raises:
            SnapshotError: A manifest is damaged; nothing is removed.
            StoreError: The store cannot be read or written.
        """
        with self._locked():
            kept = {
                name for snapshot_id in self.ids() for name in self._manifest(snapshot_id)["blobs"]
            }
            # Writers hold the lock too: a temporary file that is seen here has lost its writer.
            dropped = self._blobs.files_without(kept)
            for folder in (self.path, self.path / "manifests"):
                dropped += folder.glob(".*.tmp")
            self._void_size()
            for path in dropped:
                remove_file(path)
        self._blobs.forget()
        return len(dropped)

    def used_bytes(self) -> int:
        """Return the bytes that blobs and manifests take on disk, counted file by file.

        Raises:
            StoreError: The folder cannot be read.
        """
        total = 0
        try:
            for path in (*self._blobs.files(), *(self.path / "manifests").glob("*")):
                with contextlib.suppress(FileNotFoundError):
                    total += path.stat().st_size
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror or error}") from error
        return total

    def _write(self, path: Path, manifest: bytes, compressed: Mapping[str, bytes]) -> None:
        """Write what is new of a snapshot; the lock is held."""
        wanted = len(manifest) + sum(len(content) for content in compressed.values())
        used = None if self.max_bytes is None else self._known_bytes()
        if self.max_bytes is not None and used is not None and used + wanted > self.max_bytes:
            raise StoreError(
                f"the store {self.path} is full: {used:,} bytes are used, this snapshot needs "
                f"{wanted:,} more, the limit is {self.max_bytes:,}; nothing was written or lost. "
                "delete() snapshots that are no longer needed and collect(), or raise max_bytes"
            )
        self._void_size()
        self._blobs.write(compressed)
        # The manifest comes last: a crash leaves blobs without an owner, never the reverse.
        if manifest:
            replace_file(path, [manifest], durable=False)
        if used is not None:
            self._note_bytes(used + wanted)

    def _known_bytes(self) -> int:
        """Return the size of the store, as the last writer noted it where it can be trusted."""
        try:
            return int(self._size_path.read_bytes())
        except (OSError, ValueError):
            return self.used_bytes()

    def _void_size(self) -> None:
        """Forget the noted size before a change, so that a crash amid it leaves no wrong one."""
        if self._size_path.exists():
            remove_file(self._size_path)

    def _note_bytes(self, total: int) -> None:
        # Without the note the next writer counts anew.
        with contextlib.suppress(StoreError):
            replace_file(self._size_path, [b"%d" % total], durable=False)

    @property
    def _size_path(self) -> Path:
        return self.path / "size"

    def _manifest_path(self, snapshot_id: str) -> Path:
        if not _SHA256.fullmatch(snapshot_id):
            raise StoreError(f"a snapshot id is a SHA-256 in hexadecimal, got {snapshot_id!r:.80}")
        return self.path / "manifests" / f"{snapshot_id}.json"

    def _manifest(self, snapshot_id: str) -> Mapping[str, Any]:
        path = self._manifest_path(snapshot_id)
        try:
            content = read_file(path)
        except StoreError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            raise StoreError(f"no snapshot {snapshot_id} in {self.path}") from None
        return _parse_manifest(path, content)

    def _read(self, snapshot_id: str) -> Snapshot:
        manifest = self._manifest(snapshot_id)
        blobs = {name: self._blobs.read(name) for name in manifest["blobs"]}
        return Snapshot.from_manifest(manifest, blobs)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self.path / "lock", timeout=LOCK_TIMEOUT_S)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(poll_interval=_LOCK_POLL_S)
        except OSError as error:
            raise StoreError(
                f"cannot lock the store {self.path}: {error.strerror or error}"
            ) from error
        try:
            yield
        finally:
            lock.release()


def save_snapshot(path: str | os.PathLike[str], snapshot: Snapshot) -> None:
    """Write one snapshot as one zip file, to carry it elsewhere.

    Raises:
        SnapshotError: The snapshot is damaged.
        StoreError: The file cannot be written.
    """
    snapshot.verify()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        members = {"manifest.json": json.dumps(snapshot.manifest()).encode("ascii")}
        members |= {f"blobs/{name}": content for name, content in snapshot.blobs.items()}
        for name, content in members.items():
            # A bare ZipInfo has a fixed date, so that equal snapshots make equal files.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    replace_file(Path(path), [buffer.getvalue()])


def load_snapshot(path: str | os.PathLike[str]) -> Snapshot:
    """Read a file written by ``save_snapshot``, and verify it.

    Raises:
        StoreError: The file is missing or cannot be read.
        SnapshotError: The file is damaged or no snapshot.
    """
    content = read_file(Path(path))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            manifest = _parse_manifest(Path(path), archive.read("manifest.json"))
            blobs = {name: archive.read(f"blobs/{name}") for name in manifest["blobs"]}
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError) as error:
        raise SnapshotError(f"{path} is damaged or no snapshot file: {error}") from error
    snapshot = Snapshot.from_manifest(manifest, blobs)
    snapshot.verify()
    return snapshot


def _parse_manifest(path: Path, content: bytes) -> Mapping[str, Any]:
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"{path} is damaged: it is no JSON ({error})") from error
    names = manifest.get("blobs") if isinstance(manifest, dict) else None
    if not isinstance(names, list) or not all(
        isinstance(name, str) and _SHA256.fullmatch(name) for name in names
    ):
        raise SnapshotError(f"{path} is damaged: it names no list of blobs")
    return dict(manifest)
