"""Episodes in Docker boxes whose engine stops or is killed in the middle of them."""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.errors import InfraError, SandboxUnavailableError
from pivot_envs.sandbox.engine import connect
from pivot_envs.store import SnapshotStore

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(300)]

CLAMP = "tiny-1.0/clamp"
SCRIPT = Path(__file__).parents[3] / ".ci" / "docker-engine"


class OwnEngine:
    """An engine that only this test uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pid_file = folder / "dockerd.pid"

    def start(self) -> str:
        """Start it, or find it; return where it is."""
        return self._script().strip().removeprefix("export DOCKER_HOST=")

    def stop(self) -> None:
        """Stop it and wait until it is gone."""
        if self._pid_file.exists():
            self._script("stop")
        self._await_end(lambda: not self._pid_file.exists())

    def kill(self) -> None:
        """End it without a warning and wait until it is gone."""
        pid = int(self._pid_file.read_text())
        os.kill(pid, signal.SIGKILL)
        self._await_end(lambda: not Path(f"/proc/{pid}").exists())

    def _script(self, *arguments: str) -> str:
        surroundings = {**os.environ, "PIVOT_DOCKER_FOLDER": str(self.folder), "DOCKER_HOST": ""}
        run = subprocess.run(
            ["bash", str(SCRIPT), *arguments],
            env=surroundings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    def _await_end(self, has_ended: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not has_ended() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert has_ended()


@pytest.fixture(scope="module")
def engine(docker_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    """An engine of these tests' own, which has the image; the environment finds it."""
    if os.geteuid() != 0 or shutil.which("dockerd", path="/usr/sbin:/usr/bin:/sbin") is None:
        pytest.skip("needs to be root, and dockerd, to start an engine of its own")
    if Path("/var/run/docker.sock").exists():
        pytest.skip("there is an engine at the default socket, which would be taken")
    with contextlib.closing(connect()) as shared:
        image = b"".join(shared.get_image(docker_image))
    engine = OwnEngine(tmp_path_factory.mktemp("engine"))
    with pytest.MonkeyPatch.context() as patch:
        try:
            patch.setenv("DOCKER_HOST", engine.start())
            with contextlib.closing(connect()) as client:
                client.load_image(io.BytesIO(image))
            yield engine
        finally:
            # A killed engine's containers are ended by the one that follows.
            engine.start()
            engine.stop()
            # An engine mounts its folder on itself, which Path.is_mount does not see, and it may be
            # busy yet.
            unmount = ["umount", "--lazy", engine.folder / "data"]
            while subprocess.run(unmount, capture_output=True, check=False).returncode == 0:
                pass
            shutil.rmtree(engine.folder, ignore_errors=True)


@pytest.fixture
def env(tiny_tasks: Path, docker_image: str, engine: OwnEngine) -> Iterator[CodingEnv]:
    env = CodingEnv(tasks=str(tiny_tasks), sandbox="docker", image=docker_image, max_turns=10**6)
    yield env
    env.close()


def test_an_engine_that_stops_truncates_the_episode_until_it_is_back(
    env: CodingEnv, engine: OwnEngine
) -> None:
    env.reset(seed=0, options={"task_id": CLAMP})
    snapshot = env.snapshot()
    engine.stop()
    *_, truncated, info = env.step('{"name": "bash"}')
    assert truncated
    assert info["infra_error"].startswith("SandboxError: ")
    with pytest.raises(SandboxUnavailableError, match="docker-engine"):
        env.reset(options={"snapshot": snapshot})
    engine.start()
    env.reset(options={"snapshot": snapshot})
    assert "clamp" in env.step('{"name": "view"}')[0]


def test_an_engine_starts_where_another_process_has_the_number_of_its_last_containerd(
    engine: OwnEngine,
) -> None:
    engine.stop()
    (engine.folder / "run" / "containerd" / "containerd.pid").write_text(str(os.getpid()))
    engine.start()
    assert "containerd is still running" not in (engine.folder / "dockerd.log").read_text()


def test_a_killed_engine_truncates_the_episode_and_loses_no_snapshot(
    env: CodingEnv, engine: OwnEngine, tmp_path: Path
) -> None:
    run_with_kills(env, engine, SnapshotStore(tmp_path / "store"), steps=20, kills=2)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_steps_among_kills_of_the_engine_lose_no_snapshot(
    env: CodingEnv, engine: OwnEngine, tmp_path: Path
) -> None:
    run_with_kills(env, engine, SnapshotStore(tmp_path / "store"), steps=200, kills=12)


def run_with_kills(
    env: CodingEnv, engine: OwnEngine, store: SnapshotStore, steps: int, kills: int
) -> None:
    """Step while the engine is killed at random moments; resume from what was stored."""
    dice, failures, alive = random.Random(0), 0, False
    struck = set(dice.sample(range(3, steps), kills))
    for step in range(steps):
        killer = threading.Timer(dice.uniform(0.0, 0.05), engine.kill)
        if step in struck:
            killer.start()
        alive = (alive or resumed(env, store, dice)) and acted(env, store, step)
        if step in struck:
            killer.join()
            # A container that goes on has lost its connection.
            assert not (alive and acted(env, store, step))
            with pytest.raises(InfraError):
                env.reset(options={"task_id": CLAMP})
            engine.start()
            failures, alive = failures + 1, False
    assert failures == kills
    assert len(store.ids()) >= steps // 2
    for snapshot_id in store.ids():
        snapshot = store.get(snapshot_id)
        env.reset(options={"snapshot": snapshot})
        assert env.snapshot().state["env"]["files"] == snapshot.state["env"]["files"]
    sys.stdout.write(f"{steps} steps, {kills} kills, {len(store.ids())} snapshots\n")


def resumed(env: CodingEnv, store: SnapshotStore, dice: random.Random) -> bool:
    """Begin an episode, or resume one; tell whether the engine was there for it."""
    options = {"task_id": CLAMP}
    if store.ids() and dice.random() < 0.7:
        options = {"snapshot": store.get(dice.choice(store.ids()))}
    try:
        env.reset(seed=0, options=options)
    except InfraError:
        return False
    return True


def acted(env: CodingEnv, store: SnapshotStore, step: int) -> bool:
    """Step and store a snapshot; tell whether the box did both, as it then reports."""
    command = f"echo {step} > step; sleep 0.01; cat step"
    call = json.dumps({"name": "bash", "arguments": {"command": command}})
    observation, reward, terminated, truncated, info = env.step(call)
    if info["infra_error"] is not None:
        assert (reward, terminated, truncated) == (0.0, False, True)
        return False
    assert observation == f"{step}\n[exit code 0]"
    try:
        store.put(env.snapshot())
    except InfraError:
        return False
    return True
