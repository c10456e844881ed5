"""CodeCache, compiled sources that outlive the test runs that needed them."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import linecache
import os
import stat
import tokenize
import warnings
from importlib.machinery import SourceFileLoader
from typing import Any

_MAX_CACHED_BYTES = 3 * 1024 * 1024
"""Bytes of source; their code takes several times as much memory."""

_MAX_VERSIONS = 2
"""Contents of the same file: the one before an edit and the one after it."""

_MAX_SOURCE_BYTES = 2 * 1024 * 1024


class CodeCache:
    """Compiled sources by path and content, so that no run compiles what an earlier one did.

    It also knows on which lines statements begin. pytest looks that up for each failing test, and
    parses whole files for it.

    Only this process adds to it, by compiling sources itself: a child tells which ones it missed.
    """

    def __init__(self) -> None:
        """Patch the places where Python and pytest compile sources."""
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
        self._statement_lines = self._patch_statements()

    def _patch_statements(self) -> Any:
        """Let pytest find statements here; return how it numbers them, None if not that way."""
        from _pytest._code import code, source

        number_statements = getattr(source, "_statement_linenos", None)
        find_range = getattr(code, "getstatementrange_ast", None)
        if number_statements is None or find_range is None:  # Another pytest: only slower.
            return None

        def find_range_here(line: int, text: Any, *, astnode: Any = None) -> Any:
            return find_range(line, text, astnode=astnode or self._tree(text.lines))

        setattr(code, "getstatementrange_ast", find_range_here)  # noqa: B010, a patch
        return number_statements

    def _tree(self, lines: list[str]) -> Any:
        """Return a tree with the statements of a source, None if it is not known whose they are."""
        for path, entry in linecache.cache.items():
            if len(entry) == 4 and len(entry[2]) == len(lines):
                if [line.rstrip() for line in entry[2]] != lines:
                    continue
                content = "\n".join(lines)
                data = content.encode("utf-8", "surrogatepass")
                tree = self._find("statements", path, data)
                if tree is None and (tree := self._flatten(content)) is not None:
                    # The run's next failing test asks again.
                    self._results[self._key("statements", path, data)] = (tree, len(data))
                return tree
        return None

    def _flatten(self, content: str) -> ast.Module:
        """Return a module with nothing but a statement on each line where one of a source is."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
        numbers = self._statement_lines(tree)
        flat = ast.Module([ast.Pass(lineno=number + 1) for number in numbers], [])
        self._statement_lines(flat)  # It remembers what it has numbered.
        return flat

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
            result: Any
            if kind == "plain":
                result = self._compile(SourceFileLoader("warm", path), data, path)
            elif kind == "statements":
                encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
                lines = io.TextIOWrapper(io.BytesIO(data), encoding).readlines()
                content = "\n".join(line.rstrip() for line in lines)
                result, data = self._flatten(content), content.encode("utf-8", "surrogatepass")
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
