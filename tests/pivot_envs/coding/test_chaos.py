"""Processes die at random moments: nothing is scored that failed, and nothing stored is lost."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.errors import InfraError, SandboxUnavailableError
from pivot_envs.store import SnapshotStore

pytestmark = pytest.mark.timeout(600)

CLAMP = "tiny-1.0/clamp"
FIX = {"path": "tiny.py", "line": 9, "old": "low", "new": "high"}

# A program that uses an environment and a store until it is killed.
LIBRARY = """
import sys
from pivot_envs.coding.env import CodingEnv
from pivot_envs.store import SnapshotStore
env = CodingEnv(tasks=sys.argv[1], max_turns=10**6)
store = SnapshotStore(sys.argv[2])
print("begun", flush=True)
env.reset(seed=0)
env.step('{"name": "bash", "arguments": {"command": "setsid sleep 1000 & sleep 1000 &"}}')
for number in range(10**6):
    env.step('{"name": "bash", "arguments": {"command": "echo %d >> log; sleep 0.01"}}' % number)
    print(store.put(env.snapshot()), flush=True)
    if number % 10 == 9:
        store.collect()
    if number % 25 == 24:
        env.reset(seed=number)
"""


def parents() -> dict[int, tuple[int, str]]:
    """Return parent and start time of every process of the machine."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_bytes().rpartition(b") ")[2].split()
            if fields[0] != b"Z":
                found[int(path.parent.name)] = (int(fields[1]), fields[19].decode())
    return found


def below(ancestor: int) -> list[tuple[int, str]]:
    """Return (pid, start time) of all processes below one, parents first."""
    table, waiting, found = parents(), [ancestor], []
    while waiting:
        parent = waiting.pop(0)
        children = [pid for pid, (above, _) in table.items() if above == parent]
        found += [(pid, table[pid][1]) for pid in children]
        waiting += children
    return found


class Killer:
    """Kills this process's box after a while, once."""

    def __init__(self, victim: str) -> None:
        self.depth = {"launcher": 0, "agent": 1}[victim]
        self.kills = 0
        self._thread: threading.Thread | None = None

    def strike(self, after_s: float) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._strike, args=(after_s,))
            self._thread.start()

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _strike(self, after_s: float) -> None:
        time.sleep(after_s)
        chain, table = os.getpid(), parents()
        for _ in range(self.depth + 1):
            children = [pid for pid, (above, _) in table.items() if above == chain]
            if len(children) != 1:
                return
            chain = children[0]
        with contextlib.suppress(ProcessLookupError):
            os.kill(chain, signal.SIGKILL)
            self.kills += 1


@pytest.fixture
def env(tiny_tasks: Path) -> Iterator[CodingEnv]:
    env = CodingEnv(tasks=str(tiny_tasks), max_turns=10**6, command_timeout_s=20.0)
    try:
        env.reset(seed=0)
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    assert below(os.getpid())[0][0], "the box is no child of this process"
    yield env
    env.close()


def act(env: CodingEnv, name: str, **arguments: object) -> str | None:
    """Step; return the observation, or ``None`` if the machinery failed, as it then has to."""
    call = json.dumps({"name": name, "arguments": arguments})
    observation, reward, terminated, truncated, info = env.step(call)
    if info["infra_error"] is not None:
        assert (reward, terminated, truncated) == (0.0, False, True)
        assert not info["is_success"]
        return None
    if name == "submit":
        assert (reward, terminated, info["is_success"]) == (1.0, True, True), observation
    return observation


def repair(env: CodingEnv) -> bool:
    """Begin an episode and repair the bug, so that a submission has to earn the reward."""
    env.reset(seed=0, options={"task_id": CLAMP})
    return act(env, "edit", **FIX) is not None


def run_with_kills(env: CodingEnv, store: SnapshotStore, victim: str, steps: int) -> Killer:
    dice, killer, alive = random.Random(victim), Killer(victim), False
    for step in range(steps):
        if dice.random() < 0.2:
            killer.strike(dice.uniform(0.0, 0.08))
        if not alive and store.ids() and dice.random() < 0.5:
            env.reset(options={"snapshot": store.get(dice.choice(store.ids()))})
        elif not alive:
            alive = repair(env)
            continue
        name = dice.choice(("bash", "bash", "bash", "view", "tests", "submit"))
        if name == "bash":
            output = act(env, "bash", command=f"echo {step} > step; sleep 0.01; cat step")
            assert output in (f"{step}\n[exit code 0]", None)
        elif name == "tests":
            output = act(env, "bash")
            assert output is None or output.endswith("1 passed\n[exit code 0]")
        else:
            output = act(env, name)
        alive = output is not None and name != "submit"
        if alive:
            with contextlib.suppress(InfraError):
                store.put(env.snapshot())
    killer.wait()
    return killer


def check_box_kills(env: CodingEnv, path: Path, victim: str, steps: int) -> None:
    store = SnapshotStore(path / "store")
    killer = run_with_kills(env, store, victim, steps)
    assert killer.kills >= steps // 20
    assert len(store.ids()) >= steps // 10
    env.close()
    for snapshot_id in store.ids():
        snapshot = store.get(snapshot_id)
        env.reset(options={"snapshot": snapshot})
        assert env.snapshot().state["env"]["files"] == snapshot.state["env"]["files"]
    assert act(env, "submit") is not None
    sys.stdout.write(f"{steps} steps, {killer.kills} kills, {len(store.ids())} snapshots\n")


@pytest.mark.parametrize("victim", ["agent", "launcher"])
def test_a_box_killed_at_random_moments_is_reported_replaced_and_loses_no_snapshot(
    env: CodingEnv, tmp_path: Path, victim: str
) -> None:
    check_box_kills(env, tmp_path, victim, 40)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", ["agent", "launcher"])
def test_two_hundred_steps_among_kills_lose_no_snapshot(
    env: CodingEnv, tmp_path: Path, victim: str
) -> None:
    check_box_kills(env, tmp_path, victim, 200)


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_library_leaves_no_process_and_a_readable_store(
    env: CodingEnv, tiny_tasks: Path, tmp_path: Path, seed: int
) -> None:
    folder = tiny_tasks.parent
    variables = {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
    }
    library = subprocess.Popen(
        [sys.executable, "-c", LIBRARY, tiny_tasks, tmp_path / "store"],
        stdout=subprocess.PIPE,
        env={**os.environ, **variables},
        text=True,
    )
    assert library.stdout is not None
    first = library.stdout.readline()
    for _ in range(seed):
        library.stdout.readline()
    time.sleep(random.Random(seed).uniform(0.0, 0.2))
    doomed = below(library.pid)
    library.kill()
    stored = [line.strip() for line in library.stdout if line.endswith("\n")]
    library.stdout.close()
    library.wait()
    assert first == "begun\n"
    assert len(doomed) > 3 or seed == 0, "the box was not up"
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline and set(doomed) & everyone():
        time.sleep(0.02)
    assert not set(doomed) & everyone()
    store = SnapshotStore(tmp_path / "store")
    assert set(stored) <= set(store.ids())
    for snapshot_id in store.ids():
        env.reset(options={"snapshot": store.get(snapshot_id)})


def everyone() -> set[tuple[int, str]]:
    return {(pid, start) for pid, (_, start) in parents().items()}
