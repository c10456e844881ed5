"""Processes die at random moments: nothing is scored that failed, and nothing stored is lost."""

import contextlib
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.errors import InfraError
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.engine import connect
from pivot_envs.store import SnapshotStore

pytestmark = pytest.mark.timeout(600)

CLAMP = "tiny-1.0/clamp"
FIX = {"path": "tiny.py", "line": 9, "old": "low", "new": "high"}

Kill = Callable[[CodingEnv], bool]
"""Kills an environment's box, and tells whether there was one."""


def kill_launcher(_: CodingEnv) -> bool:
    launchers = launchers_here()
    return len(launchers) == 1 and kill_process(launchers[0])


def kill_agent(_: CodingEnv) -> bool:
    agents = [agent for launcher in launchers_here() for agent in children(launcher)]
    return len(agents) == 1 and kill_process(agents[0])


def launchers_here() -> list[int]:
    """Return the boxes' first processes; a browser that other tests left is another child."""
    return [pid for pid in children(os.getpid()) if b"agent.launcher" in command_line(pid)]


def children(process: int) -> list[int]:
    """Return the processes that the first thread of this one started."""
    with contextlib.suppress(OSError):
        return [
            int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ]
    return []


def command_line(process: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def kill_process(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def kill_container(env: CodingEnv) -> bool:
    return in_engine(env, lambda engine, container: engine.kill(container) is None)


def kill_agent_of_container(env: CodingEnv) -> bool:
    def kill(engine: Any, container: str) -> bool:
        pid = engine.inspect_container(container)["State"]["Pid"]
        return pid > 0 and kill_process(pid)

    return in_engine(env, kill)


def in_engine(env: CodingEnv, kill: Callable[[Any, str], bool]) -> bool:
    import docker

    assert isinstance(env._sandbox, DockerSandbox)
    with contextlib.closing(connect()) as engine, contextlib.suppress(docker.errors.APIError):
        # A container that has just ended is refused.
        return bool(env._sandbox.container_id) and kill(engine, env._sandbox.container_id)
    return False


class Killer:
    """Kills an environment's box after a while, once."""

    def __init__(self, env: CodingEnv, kill: Kill) -> None:
        self.kills = 0
        self._env, self._kill = env, kill
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
        self.kills += self._kill(self._env)


EMBEDDED_KILLS = [kill_agent, kill_launcher]
DOCKER_KILLS = [kill_agent_of_container, kill_container]
KILLS = [*EMBEDDED_KILLS, *(pytest.param(kill, marks=pytest.mark.docker) for kill in DOCKER_KILLS)]


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """Which kind of box is used: the one that the test's way to kill is made for."""
    return "docker" if request.getfixturevalue("kill") in DOCKER_KILLS else "embedded"


@pytest.fixture
def env(env_of_kind: CodingEnv) -> CodingEnv:
    return env_of_kind


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


def run_with_kills(env: CodingEnv, store: SnapshotStore, kill: Kill, steps: int) -> Killer:
    """Act until enough steps were taken, and enough strikes have hit: some come between boxes."""
    dice, killer, alive = random.Random(kill.__name__), Killer(env, kill), False
    for step in itertools.count():
        if step >= steps and (killer.kills >= steps // 20 or step >= 4 * steps):
            break
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


def check_box_kills(env: CodingEnv, path: Path, kill: Kill, steps: int) -> None:
    store = SnapshotStore(path / "store")
    killer = run_with_kills(env, store, kill, steps)
    assert killer.kills >= steps // 20
    assert len(store.ids()) >= steps // 10
    env.close()
    for snapshot_id in store.ids():
        snapshot = store.get(snapshot_id)
        env.reset(options={"snapshot": snapshot})
        assert env.snapshot().state["env"]["files"] == snapshot.state["env"]["files"]
    assert act(env, "submit") is not None
    sys.stdout.write(f"{steps} steps, {killer.kills} kills, {len(store.ids())} snapshots\n")


@pytest.mark.parametrize("kill", KILLS)
def test_a_box_killed_at_random_moments_is_reported_replaced_and_loses_no_snapshot(
    env: CodingEnv, tmp_path: Path, kill: Kill
) -> None:
    check_box_kills(env, tmp_path, kill, 40)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kill", EMBEDDED_KILLS)
def test_two_hundred_steps_among_kills_lose_no_snapshot(
    env: CodingEnv, tmp_path: Path, kill: Kill
) -> None:
    check_box_kills(env, tmp_path, kill, 200)


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kill", DOCKER_KILLS)
def test_two_hundred_steps_among_kills_of_containers_lose_no_snapshot(
    env: CodingEnv, tmp_path: Path, kill: Kill
) -> None:
    check_box_kills(env, tmp_path, kill, 200)
