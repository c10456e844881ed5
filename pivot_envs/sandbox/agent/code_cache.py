"""CodeCache, compiled sources that outlive the test runs that needed them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from importlib.machinery import SourceFileLoader
from types import CodeType
from typing import Any

_MAX_CACHED_BYTES = 32 * 1024 * 1024
_MAX_SOURCE_BYTES = 2 * 1024 * 1024


class CodeCache:
    """Compiled sources by path and content, so that no run compiles what an earlier one did.

    Only this process adds to it, by compiling sources itself: a child tells which ones it missed.
    """

    def __init__(self) -> None:
        """Patch the two places where Python and pytest compile sources."""
        from _pytest.assertion import rewrite

        self._codes: dict[tuple[str, str, bytes], tuple[CodeType, int]] = {}
        self._rewrite = rewrite._rewrite_test
        self._compile = SourceFileLoader.source_to_code
        self.missed: list[tuple[str, str]] = []
        cache = self

        def source_to_code(
            loader: SourceFileLoader, data: Any, path: Any, **options: Any
        ) -> CodeType:
            found = cache._find("plain", path, data) if isinstance(data, bytes) else None
            return found or cache._compile(loader, data, path, **options)

        def rewrite_test(path: Any, config: Any) -> tuple[os.stat_result, CodeType]:
            if config is not None and config.getini("enable_assertion_pass_hook"):
                return cache._rewrite(path, config)
            found = cache._find("rewritten", str(path), path.read_bytes())
            if found is None:
                return cache._rewrite(path, config)
            return path.stat(), found

        SourceFileLoader.source_to_code = source_to_code  # type: ignore[assignment]
        rewrite._rewrite_test = rewrite_test  # type: ignore[assignment]

    def fill(self, kind: str, path: str) -> None:
        """Compile a source that a child missed; sources that do not compile are left out."""
        with contextlib.suppress(Exception):
            if os.path.getsize(path) > _MAX_SOURCE_BYTES:
                return
            with open(path, "rb") as file:
                data = file.read()
            if kind == "plain":
                code = self._compile(SourceFileLoader("warm", path), data, path)
            else:
                code = self._rewrite(_Source(path, data), None)[1]
            self._codes[self._key(kind, path, data)] = (code, len(data))
            while sum(size for _, size in self._codes.values()) > _MAX_CACHED_BYTES:
                del self._codes[next(iter(self._codes))]

    def _find(self, kind: str, path: Any, data: bytes) -> CodeType | None:
        found = self._codes.get(self._key(kind, os.fspath(path), data))
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
