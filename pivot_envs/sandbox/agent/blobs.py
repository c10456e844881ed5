"""BlobStore, the file contents that the agent remembers."""

from __future__ import annotations

from collections import OrderedDict


class BlobStore:
    """File contents by SHA-256; the oldest are dropped when there are too many bytes."""

    def __init__(self, limit_bytes: int = 64 * 1024 * 1024) -> None:
        """Keep at most ``limit_bytes``, but always the newest blob."""
        self._limit = limit_bytes
        self._size = 0
        self._blobs: OrderedDict[str, bytes] = OrderedDict()

    def add(self, name: str, blob: bytes) -> None:
        """Keep a blob under its hash."""
        if name in self._blobs:
            self._blobs.move_to_end(name)
            return
        self._blobs[name] = blob
        self._size += len(blob)
        while self._size > self._limit and len(self._blobs) > 1:
            self._size -= len(self._blobs.popitem(last=False)[1])

    def get(self, name: str) -> bytes | None:
        """Return a blob if it is still here."""
        return self._blobs.get(name)
