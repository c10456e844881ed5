"""BlobFolder, the compressed file contents of a snapshot store, each kept once."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import zstandard

from pivot_envs.errors import SnapshotError, StoreError
from pivot_envs.files import is_written, read_file, replace_file
from pivot_envs.snapshot import sha256

CACHE_BYTES = 256 * 1024 * 1024


class MissingBlobError(SnapshotError):
    """A snapshot names a blob that is not there."""


class BlobFolder:
    """Blobs by SHA-256, in ``ab/<sha256>``, compressed with zstd; threads may share one.

    It locks nothing: whoever removes blobs has to keep writers out meanwhile.
    """

    def __init__(self, path: Path) -> None:
        """Name the folder; it need not exist."""
        self.path = path
        self.cached_bytes = 0
        self._cache: dict[str, bytes] = {}
        self._cache_lock = threading.Lock()

    def compressed(self, blobs: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the blobs that are not stored yet, as ``write`` wants them."""
        missing = [name for name in blobs if not is_written(self._path_of(name))]
        compressor = zstandard.ZstdCompressor(level=3)
        return {name: compressor.compress(blobs[name]) for name in missing}

    def write(self, compressed: Mapping[str, bytes]) -> None:
        """Store compressed blobs.

        Raises:
            StoreError: A file cannot be written; those before it are there.
        """
        for name, content in compressed.items():
            replace_file(self._path_of(name), [content], durable=False)

    def read(self, name: str) -> bytes:
        """Return a blob, verified.

        Raises:
            MissingBlobError: It is not there.
            SnapshotError: It is damaged.
            StoreError: It cannot be read.
        """
        cached = self._cache.get(name)
        if cached is not None:
            return cached
        path = self._path_of(name)
        try:
            content: bytes = zstandard.ZstdDecompressor().decompress(read_file(path))
        except StoreError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            raise MissingBlobError(f"{path} is missing: put the snapshot again") from None
        except (zstandard.ZstdError, MemoryError):
            content = b""
        if sha256(content) != name:
            raise SnapshotError(f"{path} is damaged: remove that file and put the snapshot again")
        self._remember(name, content)
        return content

    def files_without(self, names: Iterable[str]) -> list[Path]:
        """Return every file that holds none of these blobs, leftovers of crashes among them."""
        kept = set(names)
        return [path for path in self.files() if path.name not in kept]

    def files(self) -> Iterator[Path]:
        """Yield every file of the folder."""
        return self.path.glob("*/*")

    def forget(self) -> None:
        """Empty the memory of blobs read before."""
        with self._cache_lock:
            self._cache = {}
            self.cached_bytes = 0

    def _path_of(self, name: str) -> Path:
        return self.path / name[:2] / name

    def _remember(self, name: str, content: bytes) -> None:
        with self._cache_lock:
            if name in self._cache:
                return
            if self.cached_bytes + len(content) > CACHE_BYTES:
                self._cache = {}
                self.cached_bytes = 0
            self._cache[name] = content
            self.cached_bytes += len(content)
