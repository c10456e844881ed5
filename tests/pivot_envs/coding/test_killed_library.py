"""A killed program leaves no process, and whatever it stored can be read."""

import contextlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.engine import OWNER_LABEL, Owner, connect
from pivot_envs.store import SnapshotStore

pytestmark = pytest.mark.timeout(600)

KINDS = ["embedded", pytest.param("docker", marks=pytest.mark.docker)]

# A program that uses an environment and a store until it is killed.
LIBRARY = """
import sys
from pivot_envs.coding.env import CodingEnv
from pivot_envs.store import SnapshotStore
options = {"sandbox": "docker", "image": sys.argv[3]} if sys.argv[3:] else {}
env = CodingEnv(tasks=sys.argv[1], max_turns=10**6, **options)
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_a_killed_library_leaves_no_process_and_a_readable_store(
    env_of_kind: CodingEnv, tiny_tasks: Path, tmp_path: Path, seed: int
) -> None:
    check_library_kill(env_of_kind, tiny_tasks, tmp_path / "store", seed)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_a_library_killed_forty_times_leaves_no_process_and_a_readable_store(
    env_of_kind: CodingEnv, tiny_tasks: Path, tmp_path: Path
) -> None:
    for seed in range(40):
        check_library_kill(env_of_kind, tiny_tasks, tmp_path / f"store{seed}", seed)


def check_library_kill(env: CodingEnv, tiny_tasks: Path, folder: Path, seed: int) -> None:
    """Kill a program that uses an environment and a store, in whatever box ``env`` has."""
    arguments = [tiny_tasks, folder]
    if isinstance(env._sandbox, DockerSandbox):
        arguments.append(env._sandbox._image)
    variables = {
        "XDG_CACHE_HOME": str(tiny_tasks.parent / "cache"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tiny_tasks.parent),
    }
    library = subprocess.Popen(
        [sys.executable, "-c", LIBRARY, *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, **variables},
        text=True,
    )
    assert library.stdout is not None
    first = library.stdout.readline()
    for _ in range(seed):
        library.stdout.readline()
    time.sleep(random.Random(seed).uniform(0.0, 0.2))
    doomed = doomed_with(library.pid)
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
    store = SnapshotStore(folder)
    assert set(stored) <= set(store.ids())
    for snapshot_id in store.ids():
        env.reset(options={"snapshot": store.get(snapshot_id)})


def doomed_with(pid: int) -> list[tuple[int, str]]:
    """Return (pid, start time) of all processes of a process's boxes."""
    found = below(pid)
    with contextlib.suppress(SandboxUnavailableError), contextlib.closing(connect()) as engine:
        for container in engine.containers(filters={"label": OWNER_LABEL}):
            owner = Owner.parse(container["Labels"][OWNER_LABEL])
            if owner is not None and owner.pid == pid:
                first = engine.inspect_container(container["Id"])["State"]["Pid"]
                found += [(first, parents()[first][1]), *below(first)]
    return found


def everyone() -> set[tuple[int, str]]:
    return {(pid, start) for pid, (_, start) in parents().items()}
