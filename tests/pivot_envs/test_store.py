"""SnapshotStore: snapshots on disk."""

import json
import resource
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pivot_envs import blobs as blobs_module
from pivot_envs.errors import SnapshotError, StoreError
from pivot_envs.files import replace_file
from pivot_envs.snapshot import Snapshot, sha256
from pivot_envs.store import SnapshotStore, load_snapshot, save_snapshot


@contextmanager
def full_disk(free_bytes: int) -> Iterator[None]:
    """Let no file grow beyond ``free_bytes``, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def blobs_of(path: Path) -> set[str]:
    return {blob.name for blob in (path / "blobs").glob("*/*")}


def test_a_snapshot_comes_back_equal_in_another_store_object(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    snapshot = make_snapshot(b"", b"x" * 100_000)
    snapshot_id = SnapshotStore(tmp_path / "deep" / "store").put(snapshot)
    assert snapshot_id == snapshot.digest
    assert SnapshotStore(tmp_path / "deep" / "store").get(snapshot_id) == snapshot


def test_equal_blobs_are_kept_once_and_compressed(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path)
    large = b"line\n" * 100_000
    ids = [store.put(make_snapshot(large, turn=turn)) for turn in range(3)]
    assert store.ids() == tuple(sorted(ids))
    assert blobs_of(tmp_path) == {sha256(large)}
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 10_000
    assert store.get(ids[0]).blobs[sha256(large)] is store.get(ids[1]).blobs[sha256(large)]


def test_putting_twice_changes_nothing(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path)
    snapshot_id = store.put(make_snapshot(b"1"))
    manifest = tmp_path / "manifests" / f"{snapshot_id}.json"
    written = manifest.stat().st_mtime_ns
    store.put(make_snapshot(b"1"))
    assert manifest.stat().st_mtime_ns == written


def test_nothing_is_created_before_the_first_put(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "store")
    assert store.ids() == ()
    assert "0" * 64 not in store
    assert not (tmp_path / "store").exists()


def test_membership_takes_anything(tmp_path: Path, make_snapshot: Callable[..., Snapshot]) -> None:
    store = SnapshotStore(tmp_path)
    snapshot_id = store.put(make_snapshot())
    assert snapshot_id in store
    assert snapshot_id.upper() not in store
    assert "../lock" not in store
    assert 7 not in store


def test_collecting_keeps_what_a_snapshot_names(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path)
    kept = store.put(make_snapshot(b"1", b"2"))
    dropped = store.put(make_snapshot(b"2", b"3", turn=1))
    store.delete(dropped)
    assert store.ids() == (kept,)
    (tmp_path / "manifests" / ".crashed.json.0.tmp").write_bytes(b"")
    assert store.collect() == 2
    assert blobs_of(tmp_path) == {sha256(b"1"), sha256(b"2")}
    assert store.get(kept) == make_snapshot(b"1", b"2")
    with pytest.raises(StoreError, match="no snapshot"):
        store.get(dropped)


def test_collecting_with_a_damaged_manifest_removes_nothing(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path)
    snapshot_id = store.put(make_snapshot(b"1"))
    store.delete(store.put(make_snapshot(b"2", turn=1)))
    (tmp_path / "manifests" / f"{snapshot_id}.json").write_text("{")
    with pytest.raises(SnapshotError, match="it is no JSON"):
        store.collect()
    assert blobs_of(tmp_path) == {sha256(b"1"), sha256(b"2")}


@pytest.mark.parametrize("snapshot_id", ["", "../../etc/passwd", "0" * 63])
def test_an_id_that_is_none_is_refused(tmp_path: Path, snapshot_id: str) -> None:
    with pytest.raises(StoreError, match="a snapshot id is a SHA-256"):
        SnapshotStore(tmp_path).get(snapshot_id)


def test_deleting_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot remove .*No such file"):
        SnapshotStore(tmp_path).delete("0" * 64)


def test_a_full_disk_is_named_and_loses_nothing(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path)
    first = store.put(make_snapshot(b"1"))
    large = bytes(range(256)) * 16
    incompressible = b"".join(sha256(large[:n]).encode() for n in range(2_000))
    with (
        full_disk(4_096),
        pytest.raises(StoreError, match=r"cannot write .*blobs.*what was stored before"),
    ):
        store.put(make_snapshot(b"2", incompressible))
    assert store.ids() == (first,)
    assert store.get(first) == make_snapshot(b"1")
    assert not list(tmp_path.rglob("*.tmp"))
    second = store.put(make_snapshot(b"2", incompressible))
    assert store.get(second) == make_snapshot(b"2", incompressible)


def test_a_store_that_is_a_file_is_named(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    (tmp_path / "store").write_text("")
    store = SnapshotStore(tmp_path / "store")
    with pytest.raises(StoreError, match=r"cannot lock the store .*store"):
        store.put(make_snapshot())
    with pytest.raises(StoreError, match=r"cannot read .*store"):
        store.ids()


def test_an_unreadable_file_is_named(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path)
    snapshot_id = store.put(make_snapshot(b"1"))
    blob = tmp_path / "blobs" / sha256(b"1")[:2] / sha256(b"1")
    blob.unlink()
    blob.mkdir()
    with pytest.raises(StoreError, match=f"cannot read {blob}"):
        store.get(snapshot_id)


@pytest.mark.parametrize("content", [b"", b"no frame", b"\x28\xb5\x2f\xfd\x00"])
def test_a_damaged_blob_can_be_removed_and_put_again(
    tmp_path: Path, content: bytes, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path)
    snapshot_id = store.put(make_snapshot(b"1"))
    blob = tmp_path / "blobs" / sha256(b"1")[:2] / sha256(b"1")
    blob.write_bytes(content)
    with pytest.raises(SnapshotError, match="is damaged: remove that file"):
        store.get(snapshot_id)
    blob.unlink()
    with pytest.raises(SnapshotError, match="is missing: put the snapshot again"):
        store.get(snapshot_id)
    store.put(make_snapshot(b"1"))
    assert store.get(snapshot_id) == make_snapshot(b"1")


def test_putting_again_mends_what_a_power_failure_emptied(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path)
    snapshot_id = store.put(make_snapshot(b"1"))
    for path in (*(tmp_path / "blobs").glob("*/*"), *(tmp_path / "manifests").iterdir()):
        path.write_bytes(b"")
    with pytest.raises(SnapshotError, match="it is no JSON"):
        store.get(snapshot_id)
    store.put(make_snapshot(b"1"))
    assert store.get(snapshot_id) == make_snapshot(b"1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[]", "names no list of blobs"),
        ('{"blobs": ["../../lock"]}', "names no list of blobs"),
        ('{"blobs": []}', "expected a pivot-snapshot"),
    ],
)
def test_a_damaged_manifest_is_named(
    tmp_path: Path, content: str, message: str, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path)
    snapshot_id = store.put(make_snapshot())
    (tmp_path / "manifests" / f"{snapshot_id}.json").write_text(content)
    with pytest.raises(SnapshotError, match=message):
        store.get(snapshot_id)


def test_a_changed_or_exchanged_manifest_is_noticed(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    store = SnapshotStore(tmp_path)
    one, two = store.put(make_snapshot()), store.put(make_snapshot(turn=1))
    path = tmp_path / "manifests" / f"{one}.json"
    path.write_text(json.dumps({**make_snapshot().manifest(), "observation": "x"}))
    with pytest.raises(SnapshotError, match="changed after it was saved"):
        store.get(one)
    path.write_bytes((tmp_path / "manifests" / f"{two}.json").read_bytes())
    with pytest.raises(SnapshotError, match=f"holds the snapshot {two[:12]}"):
        store.get(one)


def test_a_damaged_snapshot_is_not_stored(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    blobs = {sha256(b"1"): b"2"}
    damaged = Snapshot.from_manifest(make_snapshot(b"1").manifest(), blobs)
    with pytest.raises(SnapshotError, match="does not hash to its name"):
        SnapshotStore(tmp_path).put(damaged)
    assert SnapshotStore(tmp_path).ids() == ()


def test_the_cache_stays_within_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_snapshot: Callable[..., Snapshot]
) -> None:
    monkeypatch.setattr(blobs_module, "CACHE_BYTES", 150)
    store = SnapshotStore(tmp_path)
    snapshot = make_snapshot(b"a" * 100, b"b" * 100)
    assert store.get(store.put(snapshot)) == snapshot
    assert store._blobs.cached_bytes == 100


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, [b"old"])

    def broken() -> Iterator[bytes]:
        yield b"new"
        raise KeyError("no more")

    with pytest.raises(KeyError):
        replace_file(path, broken())
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_one_snapshot_travels_as_one_file(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    snapshot = make_snapshot(b"", b"1")
    save_snapshot(tmp_path / "one.zip", snapshot)
    save_snapshot(tmp_path / "two.zip", snapshot)
    assert load_snapshot(tmp_path / "one.zip") == snapshot
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_damaged_or_missing_snapshot_file_is_named(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    path = tmp_path / "one.zip"
    with pytest.raises(StoreError, match=r"cannot read .*one.zip"):
        load_snapshot(path)
    path.write_bytes(b"no zip")
    with pytest.raises(SnapshotError, match=r"one\.zip is damaged or no snapshot file"):
        load_snapshot(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(make_snapshot(b"1").manifest()))
    with pytest.raises(SnapshotError, match=r"one\.zip is damaged or no snapshot file"):
        load_snapshot(path)
