"""RunDirectory, where a run keeps each finished stage, so that the same command goes on with it."""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmarks.deadline import Deadline
from pivot_envs.errors import RecordError, StoreError
from pivot_envs.files import replace_file

_PACKAGES = ("gymnasium", "numpy", "peft", "pivotrl-envs", "tokenizers", "torch", "transformers")


class RunDirectory:
    """A folder of JSON files, each written whole when its stage is done."""

    def __init__(self, path: Path, deadline: Deadline | None = None) -> None:
        """Name the folder; nothing is created before ``claim``.

        Args:
            path: The folder.
            deadline: Asked whenever a stage was kept; by default there is time without end.
        """
        self.path = path
        self.deadline = deadline or Deadline()

    def claim(self, config: Mapping[str, Any]) -> bool:
        """Take the folder for a run, or go on with one of the same configuration.

        Args:
            config: JSON-able; everything that decides the results.

        Returns:
            Whether something of the run is there already.

        Raises:
            RecordError: The folder holds a run of another configuration or other files, or is none
                that can be written.
        """
        file = self.path / "config.json"
        if self.path.exists() and not self.path.is_dir():
            raise RecordError(f"{self.path} is a file; give a folder as --out")
        if file.exists():
            self._compare(file, json.loads(json.dumps(config)))
            return True
        if self.path.exists() and any(self.path.iterdir()):
            raise RecordError(f"{self.path} holds other files; give an empty folder as --out")
        try:
            self.write_json("config.json", {"run": config, "made_with": surroundings()})
        except StoreError as error:
            raise RecordError(f"{error}; give another --out") from error
        return False

    def _compare(self, file: Path, config: Mapping[str, Any]) -> None:
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))["run"]
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{file} is damaged ({error!r}); give another --out") from error
        if stored != config:
            changed = ", ".join(_changed_keys(stored, config))
            raise RecordError(
                f"{self.path} holds a run of another configuration ({changed} differ); "
                "give another --out, or delete that folder"
            )

    def stage(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what the JSON file ``name`` holds; make and write it if it is missing.

        Of several processes that need it at the same time one makes it, and the others wait.

        Raises:
            TimeIsUp: It was made, and the deadline has passed.
            StoreError: It cannot be written.
        """
        file = self.path / name
        if not file.exists():
            lock = self.path / ".locks" / f"{name.replace('/', '--')}.lock"
            lock.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(lock):
                is_missing = not file.exists()
                if is_missing:
                    self.write_json(name, make())
            if is_missing:
                self.deadline.check()
        return json.loads(file.read_text(encoding="utf-8"))

    def write_json(self, name: str, content: Any) -> Path:
        """Write a JSON file whole; NaN is refused."""
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        return self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a file whole and return its path.

        Raises:
            StoreError: It cannot be written.
        """
        file = self.path / name
        replace_file(file, [content], durable=False)
        return file


class Journal:
    """A JSON Lines file that grows line by line and can be cut back."""

    def __init__(self, path: Path) -> None:
        """Name the file; its folder is created with the first line."""
        self._path = path

    def read(self) -> list[dict[str, Any]]:
        """Return all whole lines; a line that was cut off is left out."""
        if not self._path.exists():
            return []
        whole = self._path.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in whole]

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def rewind(self, step: int) -> None:
        """Drop the lines whose ``step`` is beyond ``step``, and a line that was cut off."""
        if not self._path.exists():
            return
        lines = [json.dumps(line) + "\n" for line in self.read() if line["step"] <= step]
        partial = self._path.with_name(f".{self._path.name}.partial")
        partial.write_text("".join(lines), encoding="utf-8")
        partial.replace(self._path)


def fingerprint(paths: Iterable[Path]) -> str:
    """Return one SHA-256 of the files' names and contents, in hex."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def surroundings() -> dict[str, Any]:
    """Return revision, versions and hardware: what is recorded but need not stay the same."""
    return {
        "git_revision": _git_revision(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _changed_keys(one: Any, other: Any, prefix: str = "") -> list[str]:
    """Return the dotted names of the values that differ."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return [] if one == other else [prefix.removesuffix(".") or "everything"]
    return [
        name
        for key in sorted({*one, *other})
        for name in _changed_keys(one.get(key), other.get(key), f"{prefix}{key}.")
    ]
