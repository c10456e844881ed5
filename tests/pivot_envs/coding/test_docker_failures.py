"""Episodes in Docker boxes whose container or engine ends in the middle of them."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.engine import connect

pytestmark = pytest.mark.docker

CLAMP = "tiny-1.0/clamp"
SCRIPT = Path(__file__).parents[3] / ".ci" / "docker-engine"


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


def engine_script(folder: Path, *arguments: str) -> str:
    """Run the script that starts or stops an engine in a folder; return what it prints."""
    surroundings = {**os.environ, "PIVOT_DOCKER_FOLDER": str(folder), "DOCKER_HOST": ""}
    run = subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        env=surroundings,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_engine_that_stops_truncates_the_episode_until_it_is_back(
    env: CodingEnv, docker_image: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if os.geteuid() != 0 or shutil.which("dockerd", path="/usr/sbin:/usr/bin:/sbin") is None:
        pytest.skip("needs to be root, and dockerd, to start an engine of its own")
    with contextlib.closing(connect()) as engine:
        image = b"".join(engine.get_image(docker_image))
    folder = tmp_path_factory.mktemp("engine")
    with pytest.MonkeyPatch.context() as patch:
        # The script prefers an engine at the default socket, which must not be stopped.
        if Path("/var/run/docker.sock").exists():
            pytest.skip("there is an engine at the default socket")
        try:
            host = start(folder)
            patch.setenv("DOCKER_HOST", host)
            with contextlib.closing(connect()) as engine:
                engine.load_image(io.BytesIO(image))
            env.reset(seed=0, options={"task_id": CLAMP})
            snapshot = env.snapshot()
            stop(folder)
            *_, truncated, info = env.step('{"name": "bash"}')
            assert truncated
            assert info["infra_error"].startswith("SandboxError: ")
            with pytest.raises(SandboxUnavailableError, match="docker-engine"):
                env.reset(options={"snapshot": snapshot})
            start(folder)
            env.reset(options={"snapshot": snapshot})
            assert "clamp" in env.step('{"name": "view"}')[0]
            env.close()
        finally:
            stop(folder)
            shutil.rmtree(folder, ignore_errors=True)


def start(folder: Path) -> str:
    return engine_script(folder).strip().removeprefix("export DOCKER_HOST=")


def stop(folder: Path) -> None:
    """Stop the engine and wait until it is gone."""
    pid_file = folder / "dockerd.pid"
    if not pid_file.exists():
        return
    engine_script(folder, "stop")
    deadline = time.monotonic() + 30
    while pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not pid_file.exists()
