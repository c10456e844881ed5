"""A store that may not grow, and one on a disk that is full."""

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pivot_envs.errors import StoreError
from pivot_envs.snapshot import Snapshot
from pivot_envs.store import SnapshotStore


def files_in(path: Path) -> dict[str, bytes]:
    """Everything but the lock, which any look may create, and the note of the size."""
    files = (file for file in path.rglob("*") if file.is_file())
    return {str(f): f.read_bytes() for f in files if f.name not in ("lock", "size")}


def test_a_limit_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_bytes must be at least 1 or None, got 0"):
        SnapshotStore(tmp_path, max_bytes=0)


def test_a_full_store_says_used_wanted_and_limit_and_keeps_what_it_has(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path, max_bytes=10_000)
    first = store.put(make_snapshot(secrets.token_bytes(4_000)))
    used, before = store.used_bytes(), files_in(tmp_path)
    with pytest.raises(StoreError) as caught:
        store.put(make_snapshot(b"small", secrets.token_bytes(8_000), turn=1))
    assert f"is full: {used:,} bytes are used, this snapshot needs 8," in str(caught.value)
    assert "the limit is 10,000; nothing was written or lost. delete() snap" in str(caught.value)
    assert files_in(tmp_path) == before
    assert store.get(first).elapsed_turns == 0


def test_what_is_stored_already_costs_nothing_of_a_full_store(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    large = secrets.token_bytes(4_000)
    first = SnapshotStore(tmp_path).put(make_snapshot(large))
    store = SnapshotStore(tmp_path, max_bytes=SnapshotStore(tmp_path).used_bytes())
    assert store.put(make_snapshot(large)) == first
    with pytest.raises(StoreError, match="is full"):
        store.put(make_snapshot(large, turn=1))


def test_deleting_and_collecting_makes_room(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path, max_bytes=10_000)
    first = store.put(make_snapshot(secrets.token_bytes(8_000)))
    second = make_snapshot(secrets.token_bytes(8_000), turn=1)
    store.delete(first)
    with pytest.raises(StoreError, match="is full"):
        store.put(second)
    store.collect()
    assert store.get(store.put(second)) == second


def test_the_size_is_what_the_files_have_whoever_wrote_them(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    store, other = SnapshotStore(tmp_path, max_bytes=10**6), SnapshotStore(tmp_path)
    ids = [
        (store, other)[turn % 2].put(make_snapshot(secrets.token_bytes(turn * 100), turn=turn))
        for turn in range(8)
    ]
    store.delete(ids[0])
    other.collect()
    store.put(make_snapshot(b"last", turn=9))
    assert store.used_bytes() == sum(map(len, files_in(tmp_path).values()))
    assert int((tmp_path / "size").read_text()) == store.used_bytes()
    other.put(make_snapshot(b"unlimited", turn=10))
    assert not (tmp_path / "size").exists()


def test_a_crash_between_a_change_and_its_note_leaves_no_wrong_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path, max_bytes=10_000)
    store.put(make_snapshot(b"1"))

    class CrashError(BaseException):
        pass

    def crash(*_: object) -> None:
        raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(SnapshotStore, "_note_bytes", crash)
        with pytest.raises(CrashError):
            store.put(make_snapshot(secrets.token_bytes(8_000), turn=1))
    with pytest.raises(StoreError, match=r"is full: 8,\d+ bytes are used"):
        store.put(make_snapshot(secrets.token_bytes(2_500), turn=2))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], capture_output=True
    )
    if made.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {made.stderr.decode(errors='replace')}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("max_bytes", [None, 10**9])
def test_a_full_disk_loses_nothing_and_can_be_emptied(
    small_disk: Path, max_bytes: int | None, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(small_disk / "store", max_bytes=max_bytes)
    stored: list[Snapshot] = []

    def fill() -> None:
        for turn in range(1_000):
            snapshot = make_snapshot(secrets.token_bytes(9_000), b"%d" % turn, turn=turn)
            store.put(snapshot)
            stored.append(snapshot)

    with pytest.raises(StoreError, match=r"cannot write .*No space left.*is unharmed"):
        fill()
    assert len(stored) > 5
    assert not list(small_disk.rglob("*.tmp"))
    fresh = SnapshotStore(small_disk / "store", max_bytes=max_bytes)
    assert [fresh.get(snapshot.digest) for snapshot in stored] == stored
    assert len(fresh.ids()) == len(stored)
    for snapshot in stored[:3]:
        fresh.delete(snapshot.digest)
    assert fresh.collect() >= 6
    again = make_snapshot(secrets.token_bytes(9_000), turn=5_000)
    assert fresh.get(fresh.put(again)) == again
