"""Episodes in Docker boxes whose container ends in the middle of them."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.engine import connect

pytestmark = pytest.mark.docker

CLAMP = "tiny-1.0/clamp"


@pytest.fixture
def env(tiny_tasks: Path, docker_image: str) -> Iterator[CodingEnv]:
    env = CodingEnv(tasks=str(tiny_tasks), sandbox="docker", image=docker_image)
    yield env
    env.close()


def container_of(env: CodingEnv) -> str:
    assert isinstance(env._sandbox, DockerSandbox)
    return env._sandbox.container_id


def kill_through_the_engine(container: str) -> None:
    with contextlib.closing(connect()) as engine:
        engine.kill(container)


def kill_first_process(container: str) -> None:
    with contextlib.closing(connect()) as engine:
        pid = engine.inspect_container(container)["State"]["Pid"]
    try:
        os.kill(pid, signal.SIGKILL)
    except (PermissionError, ProcessLookupError):
        pytest.skip("the container's processes cannot be signalled from here")


def remove_container(container: str) -> None:
    with contextlib.closing(connect()) as engine:
        engine.remove_container(container, force=True)


@pytest.mark.parametrize("end", [kill_through_the_engine, kill_first_process, remove_container])
@pytest.mark.parametrize("action", ['{"name": "bash"}', '{"name": "view"}', '{"name": "submit"}'])
def test_a_container_that_ends_truncates_the_episode_and_is_replaced(
    env: CodingEnv, end: Callable[[str], None], action: str
) -> None:
    env.reset(seed=0, options={"task_id": CLAMP})
    env.step('{"name": "bash", "arguments": {"command": "X=kept; echo 1 > new"}}')
    snapshot = env.snapshot()
    first = container_of(env)
    end(first)
    _, reward, terminated, truncated, info = env.step(action)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["infra_error"].startswith("SandboxError: ")
    env.reset(options={"snapshot": snapshot})
    assert container_of(env) not in ("", first)
    observation, *_ = env.step('{"name": "bash", "arguments": {"command": "echo $X; cat new"}}')
    assert observation == "kept\n1\n[exit code 0]"
    assert env.effect().state_digest


def test_a_container_that_ends_between_episodes_is_replaced(env: CodingEnv) -> None:
    env.reset(seed=0, options={"task_id": CLAMP})
    snapshot = env.snapshot()
    for options in ({"task_id": CLAMP}, {"snapshot": snapshot}):
        kill_through_the_engine(container_of(env))
        assert env.reset(options=options)[1]["infra_error"] is None
        assert "clamp" in env.step('{"name": "view"}')[0]
