"""BuildCache, results of builds and validations by the content that they follow from."""

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pivot_envs.coding.source import cache_folder
from pivot_envs.errors import StoreError
from pivot_envs.files import read_file, replace_file


class BuildCache:
    """JSON values by kind and key, each in a file of its own.

    What cannot be read counts as absent, so that a damaged cache costs time and nothing else.
    """

    def __init__(self, cache_dir: str | Path | None = None) -> None:
        """Name the folder, ``cache_folder()`` by default; nothing is created before a put."""
        self._folder = cache_folder(cache_dir) / "tasks"

    def get(self, kind: str, key: str) -> Any | None:
        """Return a value, None if it is not there."""
        try:
            return json.loads(read_file(self._path(kind, key)))
        except (StoreError, ValueError):
            return None

    def put(self, kind: str, key: str, value: Any) -> None:
        """Keep a value.

        Raises:
            StoreError: It cannot be written.
        """
        text = json.dumps(value, separators=(",", ":"))
        replace_file(self._path(kind, key), [text.encode()], durable=False)

    def _path(self, kind: str, key: str) -> Path:
        return self._folder / kind / key[:2] / f"{key[2:]}.json"


def content_key(*parts: object) -> str:
    """Return a key that follows from some JSON-able parts and the Python and pytest in use."""
    runtime = (platform.python_version(), version("pytest"))
    text = json.dumps([runtime, *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
