"""Processes that share a store and are killed at random moments lose nothing that was stored."""

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pivot_envs.errors import StoreError
from pivot_envs.store import SnapshotStore

# Forks workers that put, delete and collect until they are killed. A worker writes a line to its
# log before and after what it does, in one system call, so that the log outlives it.
PROGRAM = """
import os, random, secrets, signal, sys, time
from pivot_envs.snapshot import Snapshot, sha256
from pivot_envs.store import SnapshotStore

store_path, log_path, max_bytes = sys.argv[1], sys.argv[2], int(sys.argv[3]) or None

def work(name):
    dice = random.Random(name)
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    say = lambda *words: os.write(log, (" ".join(words) + chr(10)).encode())
    store = SnapshotStore(store_path, max_bytes=max_bytes)
    own = []
    while True:
        choice = dice.random()
        if choice < 0.6:
            shared = [b"shared %d" % dice.randrange(20) for _ in range(3)]
            large = dice.randbytes(dice.choice((10, 1_000, 100_000)))
            snapshot = Snapshot.create(
                env_id="pivot/Some-v0", env_kwargs={}, task_id=name, task_hash=sha256(b""),
                elapsed_turns=len(own), observation=secrets.token_hex(4), messages=(),
                fidelity="exact", state={},
                blobs={sha256(each): each for each in (*shared, large)},
            )
            own.append(store.put(snapshot))
            say("put", own[-1])
        elif choice < 0.85 and own:
            doomed = own.pop(dice.randrange(len(own)))
            say("deleting", doomed)
            store.delete(doomed)
            say("deleted", doomed)
        else:
            store.collect()

for line in sys.stdin:
    name, workers, wait_s = line.split()
    pids = []
    for number in range(int(workers)):
        pid = os.fork()
        if pid == 0:
            try:
                work(f"{name}-{number}")
            except BaseException as error:
                os.write(2, repr(error).encode())
            os._exit(1)
        pids.append(pid)
    time.sleep(float(wait_s))
    for pid in random.Random(name).sample(pids, len(pids)):
        os.kill(pid, signal.SIGKILL)
    ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    print(*ended, flush=True)
"""


class Workers:
    """Starts workers on a store, kills them, and knows what they had been told."""

    def __init__(self, folder: Path, max_bytes: int = 0) -> None:
        self.path, self.log = folder / "store", folder / "log"
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, self.path, self.log, str(max_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run_and_kill(self, name: str, count: int, after_s: float) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(name, count, after_s, file=self.process.stdin, flush=True)
        ended = self.process.stdout.readline().split()
        assert ended == ["-9"] * count, "a worker failed before it was killed"

    def acknowledged(self) -> tuple[set[str], set[str]]:
        """Return the ids that must be there, and those that must not."""
        there, gone = set(), set()
        for line in self.log.read_text().splitlines() if self.log.exists() else ():
            word, snapshot_id = line.split()
            if word == "put":
                there.add(snapshot_id)
            else:
                there.discard(snapshot_id)
            if word == "deleted":
                gone.add(snapshot_id)
        return there, gone


@contextmanager
def workers_on(folder: Path, max_bytes: int = 0) -> Iterator[Workers]:
    workers = Workers(folder, max_bytes)
    try:
        yield workers
        assert workers.process.communicate(timeout=20)[1] == ""
    finally:
        workers.process.kill()
        workers.process.communicate()


def check(workers: Workers) -> int:
    there, gone = workers.acknowledged()
    store = SnapshotStore(workers.path)
    for snapshot_id in there:
        assert store.get(snapshot_id).digest == snapshot_id
    for snapshot_id in gone:
        with pytest.raises(StoreError, match="no snapshot"):
            store.get(snapshot_id)
    # What was being written or deleted when its process was killed is whole too, or absent.
    for snapshot_id in store.ids():
        store.get(snapshot_id)
    return len(there)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("max_bytes", [0, 10**9])
def test_killing_writers_and_collectors_at_any_instant_loses_nothing(
    tmp_path: Path, max_bytes: int
) -> None:
    dice = random.Random(max_bytes)
    kept, rounds = 0, 0
    with workers_on(tmp_path, max_bytes) as workers:
        # A busy machine may give workers no time to store anything before they are killed.
        while rounds < 30 or kept < 30:
            workers.run_and_kill(f"round{rounds}", dice.choice((1, 2, 3)), dice.uniform(0.0, 0.12))
            kept = check(workers)
            rounds += 1
    store = SnapshotStore(workers.path, max_bytes=max_bytes or None)
    store.collect()
    check(workers)
    named = {name for each in store.ids() for name in store.get(each).blobs}
    assert {blob.name for blob in (workers.path / "blobs").glob("*/*")} == named
    assert not list(workers.path.rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_hundreds_of_kills_lose_nothing(tmp_path: Path) -> None:
    dice = random.Random(1)
    with workers_on(tmp_path) as workers:
        for number in range(300):
            workers.run_and_kill(f"round{number}", dice.choice((1, 2, 4)), dice.uniform(0.0, 0.2))
            if number % 10 == 9:
                check(workers)
