"""JSON Lines files of records: a header that names format and version, then one record a line."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pivot_envs.effect import Effect
from pivot_envs.errors import RecordError, SnapshotError, StoreError
from pivot_envs.files import read_file, replace_file
from pivot_envs.snapshot import Snapshot
from pivot_envs.store import SnapshotStore

Item = TypeVar("Item")


def write_records(
    path: Path, kind: str, version: int, records: Iterable[Mapping[str, Any]]
) -> None:
    """Write a record file; it replaces an older one only when it is complete.

    Raises:
        RecordError: A record holds something that JSON cannot.
        StoreError: The file cannot be written.
    """
    replace_file(path, _lines(path, kind, version, records))


def read_records(
    path: Path, kind: str, version: int, parse: Callable[[Mapping[str, Any]], Item]
) -> tuple[Item, ...]:
    """Read a record file, naming file and line in every error.

    Args:
        path: File to read.
        kind: Expected ``format`` of the header.
        version: Expected ``version`` of the header.
        parse: Makes a value of one record; may raise KeyError, TypeError or ValueError.

    Raises:
        RecordError: The header is another one, or a line is damaged.
        SnapshotError: A snapshot that a line names is damaged.
        StoreError: The file, or a snapshot that a line names, cannot be read.
    """
    content = read_file(path).removesuffix(b"\n")
    items: list[Item] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            record = json.loads(line)
            if number == 1:
                _check_header(record, kind, version)
            else:
                items.append(parse(record))
        except (SnapshotError, StoreError) as error:
            raise type(error)(f"{path}, line {number}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise RecordError(f"{path}, line {number} is damaged ({reason})") from error
    return tuple(items)


def effect_record(effect: Effect | None) -> dict[str, Any] | None:
    """Return an effect as JSON-able data."""
    if effect is None:
        return None
    return {
        "state_digest": effect.state_digest,
        "facts": sorted(effect.facts),
        "terminated": effect.terminated,
    }


def effect_from(record: Mapping[str, Any] | None) -> Effect | None:
    """Rebuild what ``effect_record`` returned."""
    if record is None:
        return None
    return Effect(record["state_digest"], frozenset(record["facts"]), record["terminated"])


class SnapshotsBeside:
    """The snapshots that a record file names, in a store given or in ``<file>.snapshots``."""

    def __init__(self, path: Path, store: SnapshotStore | None) -> None:
        """Choose the store; nothing is created before a snapshot is put."""
        self.store = store or SnapshotStore(path.with_name(path.name + ".snapshots"))

    def put(self, snapshot: Snapshot | None) -> str | None:
        """Store a snapshot and return its id; ``None`` stays ``None``."""
        return None if snapshot is None else self.store.put(snapshot)

    def get(self, snapshot_id: str | None) -> Snapshot | None:
        """Return the snapshot of that id; ``None`` stays ``None``."""
        return None if snapshot_id is None else self.store.get(snapshot_id)


def _lines(
    path: Path, kind: str, version: int, records: Iterable[Mapping[str, Any]]
) -> Iterator[bytes]:
    yield json.dumps({"format": kind, "version": version}).encode("ascii") + b"\n"
    for number, record in enumerate(records, start=2):
        try:
            text = json.dumps(record, default=_plain)
        except (TypeError, ValueError) as error:
            raise RecordError(
                f"{path}, line {number} cannot be written as JSON: {error}"
            ) from error
        yield text.encode("ascii") + b"\n"


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON value: {value!r:.80}")


def _check_header(header: object, kind: str, version: int) -> None:
    if header != {"format": kind, "version": version}:
        raise ValueError(f"expected the header of {kind} version {version}, got {header!r:.80}")
