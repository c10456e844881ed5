"""Snapshot: data that carries its own proof."""

import json
from dataclasses import replace
from typing import Any

import pytest

from pivot_envs.errors import SnapshotError
from pivot_envs.snapshot import Message, Snapshot, sha256


def make_snapshot(**changes: Any) -> Snapshot:
    content = {
        "env_id": "pivot/Some-v0",
        "env_kwargs": {"size": 4},
        "task_id": "a",
        "task_hash": sha256(b"a"),
        "elapsed_turns": 1,
        "observation": "hé\ud800",
        "messages": (Message("user", "do"), Message("assistant", "{}"), Message("tool", "ok")),
        "fidelity": "exact",
        "state": {"env": {"files": [sha256(b"1"), sha256(b"2")]}},
        "blobs": {sha256(b"1"): b"1", sha256(b"2"): b"2"},
    }
    return Snapshot.create(**{**content, **changes})


def test_a_snapshot_survives_json() -> None:
    snapshot = make_snapshot()
    text = json.dumps(snapshot.manifest())
    again = Snapshot.from_manifest(json.loads(text), snapshot.blobs)
    again.verify()
    assert again == snapshot


def test_equal_states_have_equal_digests_whatever_the_order_of_keys() -> None:
    one = make_snapshot(state={"a": 1, "b": 2})
    assert one.digest == make_snapshot(state={"b": 2, "a": 1}).digest
    assert one.digest != make_snapshot(state={"b": 2, "a": 2}).digest


@pytest.mark.parametrize(
    "changes",
    [
        {"observation": "other"},
        {"elapsed_turns": 2},
        {"state": {}},
        {"messages": ()},
        {"blobs": {}},
        {"blobs": {sha256(b"1"): b"1", sha256(b"2"): b"3"}},
        {"digest": "0" * 64},
    ],
)
def test_any_change_is_noticed(changes: dict[str, Any]) -> None:
    with pytest.raises(SnapshotError, match=r"changed after it was saved|damaged"):
        replace(make_snapshot(), **changes).verify()


@pytest.mark.parametrize("change", [{"version": 99}, {"format": "tar"}])
def test_another_format_or_version_is_refused(change: dict[str, Any]) -> None:
    snapshot = make_snapshot()
    with pytest.raises(SnapshotError, match="expected a pivot-snapshot of version 1"):
        Snapshot.from_manifest({**snapshot.manifest(), **change}, snapshot.blobs)


@pytest.mark.parametrize(
    ("key", "value"), [("elapsed_turns", "1"), ("state", None), ("messages", [["user"]])]
)
def test_a_damaged_manifest_is_refused(key: str, value: object) -> None:
    snapshot = make_snapshot()
    with pytest.raises(SnapshotError, match="snapshot manifest is damaged"):
        Snapshot.from_manifest({**snapshot.manifest(), key: value}, snapshot.blobs)


def test_a_missing_field_is_named() -> None:
    snapshot = make_snapshot()
    manifest = {key: value for key, value in snapshot.manifest().items() if key != "task_id"}
    with pytest.raises(SnapshotError, match="'task_id' must be a str, got None"):
        Snapshot.from_manifest(manifest, snapshot.blobs)


def test_a_state_that_is_no_json_is_refused() -> None:
    with pytest.raises(SnapshotError, match="cannot be written as JSON"):
        make_snapshot(state={"env": {1, 2}})
