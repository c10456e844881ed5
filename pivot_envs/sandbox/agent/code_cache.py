"""CodeCache, compiled sources that outlive the test runs that needed them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from importlib.machinery import SourceFileLoader
from typing import Any

_MAX_CACHED_BYTES = 3 * 1024 * 1024
"""Bytes of source; their code takes several times as much memory."""

_MAX_VERSIONS = 2
"""Contents of the same file: the one before an edit and the one after it."""

_MAX_SOURCE_BYTES = 2 * 1024 * 1024


class CodeCache:
    """Compiled sources by path and content, so that no run compiles what an earlier one did.

    Only this process adds to it, by compiling sources itself: a child tells which ones it missed.
    """

    def __init__(self) -> None:
        """Patch the two places where Python and pytest compile sources."""
        from _pytest.assertion import rewrite

        self.missed: list[tuple[str, str]] = []
        self._results: dict[tuple[str, str, bytes], tuple[Any, int]] = {}
        self._rewrite: Any = rewrite._rewrite_test
        self._compile: Any = SourceFileLoader.source_to_code
        cache = self

        def source_to_code(loader: SourceFileLoader, data: Any, path: Any, **options: Any) -> Any:
            found = cache._find("plain", path, data) if isinstance(data, bytes) else None
            return found or cache._compile(loader, data, path, **options)

        def rewrite_test(path: Any, config: Any) -> Any:
            if config is not None and config.getini("enable_assertion_pass_hook"):
                return cache._rewrite(path, config)
            found = cache._find("rewritten", path, path.read_bytes())
            return found or cache._rewrite(path, config)

        setattr(SourceFileLoader, "source_to_code", source_to_code)  # noqa: B010, a patch
        setattr(rewrite, "_rewrite_test", rewrite_test)  # noqa: B010

    def fill(self, kind: str, path: str) -> None:
        """Compile a source that a child missed; sources that do not compile are left out."""
        with contextlib.suppress(Exception):
            # The child may name anything, a pipe or /dev/zero for instance.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_SOURCE_BYTES:
                    return
                data = file.read(_MAX_SOURCE_BYTES)
            if kind == "plain":
                result = self._compile(SourceFileLoader("warm", path), data, path)
            else:
                result = self._rewrite(_Source(path, data), None)
            versions = [key for key in self._results if key[:2] == (kind, path)]
            for key in versions[: 1 - _MAX_VERSIONS]:
                del self._results[key]
            self._results[self._key(kind, path, data)] = (result, len(data))
            while sum(size for _, size in self._results.values()) > _MAX_CACHED_BYTES:
                del self._results[next(iter(self._results))]

    def _find(self, kind: str, path: Any, data: bytes) -> Any:
        found = self._results.get(self._key(kind, os.fspath(path), data))
        if found is None:
            self.missed.append((kind, os.fspath(path)))
            return None
        return found[0]

    @staticmethod
    def _key(kind: str, path: str, data: bytes) -> tuple[str, str, bytes]:
        return kind, path, hashlib.sha256(data).digest()


class _Source:
    """A path whose content was read before, as far as pytest's rewriting looks at it."""

    def __init__(self, path: str, data: bytes) -> None:
        self._path = path
        self._data = data

    def __fspath__(self) -> str:
        return self._path

    def __str__(self) -> str:
        return self._path

    def read_bytes(self) -> bytes:
        return self._data
