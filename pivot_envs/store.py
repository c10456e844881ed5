"""SnapshotStore, snapshots on disk: content-addressed blobs and JSON manifests."""

import contextlib
import io
import json
import os
import re
import secrets
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import zstandard
from filelock import FileLock

from pivot_envs.errors import SnapshotError, StoreError
from pivot_envs.snapshot import Snapshot, sha256

LOCK_TIMEOUT_S = 60.0
CACHE_BYTES = 256 * 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")


def replace_file(path: Path, chunks: Iterable[bytes], *, durable: bool = True) -> None:
    """Write a file so that readers see either the old content or all of the new one.

    Args:
        path: File to write; its folders are created.
        chunks: Content, in order. If producing it raises, nothing is written.
        durable: Whether the content has to outlast a power failure, which costs milliseconds.

    Raises:
        StoreError: The file cannot be written, for instance because the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            stream.writelines(chunks)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; what was stored before is unharmed"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_file(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        StoreError: The file is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error


class SnapshotStore:
    """A folder of snapshots in which equal blobs are kept once.

    The folder has ``blobs/ab/<sha256>`` (zstd-compressed) and ``manifests/<id>.json``; a
    snapshot's id is its digest. Every file is replaced atomically, and writers exclude each other
    with a lock file, so any number of threads and processes may share a store. Nothing is created
    before the first ``put``. A crash of the program loses nothing; a power failure may damage what
    was put in the last seconds, which ``get`` notices and putting it again mends.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Name the folder of the store.

        Args:
            path: The folder; it need not exist.
        """
        self.path = Path(path)
        self._cache: dict[str, bytes] = {}
        self._cached_bytes = 0

    def put(self, snapshot: Snapshot) -> str:
        """Store a snapshot and return its id; one that is stored already costs a look.

        Raises:
            SnapshotError: The snapshot is damaged.
            StoreError: The store cannot be written; nothing stored before is lost.
        """
        snapshot.verify()
        compressor = zstandard.ZstdCompressor(level=3)
        with self._locked():
            for name, content in snapshot.blobs.items():
                path = self._blob_path(name)
                if not _is_written(path):
                    replace_file(path, [compressor.compress(content)], durable=False)
            # The manifest comes last: a crash leaves blobs without an owner, never the reverse.
            path = self._manifest_path(snapshot.digest)
            if not _is_written(path):
                content = json.dumps(snapshot.manifest()).encode("ascii")
                replace_file(path, [content], durable=False)
        return snapshot.digest

    def get(self, snapshot_id: str) -> Snapshot:
        """Return a stored snapshot, verified.

        Raises:
            StoreError: There is no such snapshot, or a file cannot be read.
            SnapshotError: The manifest or a blob is damaged or missing.
        """
        manifest = self._manifest(snapshot_id)
        snapshot = Snapshot.from_manifest(
            manifest, {name: self._blob(name) for name in manifest["blobs"]}
        )
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
        """Remove a snapshot; its blobs stay until ``collect``.

        Raises:
            StoreError: There is no such snapshot, or it cannot be removed.
        """
        path = self._manifest_path(snapshot_id)
        with self._locked():
            _remove(path)

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
            dropped = [p for p in (self.path / "blobs").glob("*/*") if p.name not in kept]
            dropped += (self.path / "manifests").glob(".*.tmp")
            for path in dropped:
                _remove(path)
        self._cache.clear()
        self._cached_bytes = 0
        return len(dropped)

    def _manifest_path(self, snapshot_id: str) -> Path:
        if not _SHA256.fullmatch(snapshot_id):
            raise StoreError(f"a snapshot id is a SHA-256 in hexadecimal, got {snapshot_id!r:.80}")
        return self.path / "manifests" / f"{snapshot_id}.json"

    def _blob_path(self, name: str) -> Path:
        return self.path / "blobs" / name[:2] / name

    def _manifest(self, snapshot_id: str) -> Mapping[str, Any]:
        path = self._manifest_path(snapshot_id)
        if not path.exists():
            raise StoreError(f"no snapshot {snapshot_id} in {self.path}")
        return _parse_manifest(path, read_file(path))

    def _blob(self, name: str) -> bytes:
        if name in self._cache:
            return self._cache[name]
        path = self._blob_path(name)
        if not path.exists():
            raise SnapshotError(f"{path} is missing: put the snapshot again")
        try:
            content: bytes = zstandard.ZstdDecompressor().decompress(read_file(path))
        except (zstandard.ZstdError, MemoryError):
            content = b""
        if sha256(content) != name:
            raise SnapshotError(f"{path} is damaged: remove that file and put the snapshot again")
        if self._cached_bytes + len(content) > CACHE_BYTES:
            self._cache.clear()
            self._cached_bytes = 0
        self._cache[name] = content
        self._cached_bytes += len(content)
        return content

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self.path / "lock", timeout=LOCK_TIMEOUT_S)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
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


def _is_written(path: Path) -> bool:
    """Tell whether the file is there; a power failure leaves empty ones."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise StoreError(f"cannot remove {path}: {error.strerror or error}") from error
