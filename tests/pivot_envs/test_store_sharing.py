"""Threads that put, delete, collect and read one store at once."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from pivot_envs.errors import StoreError
from pivot_envs.snapshot import Snapshot
from pivot_envs.store import SnapshotStore


def test_writers_and_a_collector_may_work_at_once(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    snapshots = [make_snapshot(b"shared", bytes([turn]), turn=turn) for turn in range(40)]
    failures: list[BaseException] = []

    def put(part: list[Snapshot]) -> None:
        store = SnapshotStore(tmp_path)
        try:
            for snapshot in part:
                store.put(snapshot)
                store.collect()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=put, args=(snapshots[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store = SnapshotStore(tmp_path)
    assert [store.get(snapshot.digest) for snapshot in snapshots] == snapshots


def test_a_reader_sees_all_of_a_snapshot_or_none_while_others_delete_and_put_it(
    tmp_path: Path, make_snapshot: Callable[..., Snapshot]
) -> None:
    snapshot = make_snapshot(b"1", b"2", b"3")
    is_over = threading.Event()

    def churn() -> None:
        store = SnapshotStore(tmp_path)
        while not is_over.is_set():
            store.put(snapshot)
            time.sleep(0.001)
            store.delete(snapshot.digest)
            store.collect()

    thread = threading.Thread(target=churn)
    thread.start()
    found: list[Snapshot | str] = []
    try:
        while len(found) < 500 or snapshot not in found:
            try:
                found.append(SnapshotStore(tmp_path).get(snapshot.digest))
            except StoreError as error:
                found.append(str(error))
    finally:
        is_over.set()
        thread.join()
    absent = f"no snapshot {snapshot.digest} in {tmp_path}"
    assert [each for each in found if each not in (snapshot, absent)] == []
