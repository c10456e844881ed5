"""What is left of containers when the process that they belong to ends in whatever way."""

import contextlib
import gc
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pivot_envs.sandbox.__main__ import main
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.engine import Owner, connect
from pivot_envs.sandbox.leftovers import prune

HOLDER = """
import sys
from pivot_envs.sandbox.docker import DockerSandbox
box = DockerSandbox(image=sys.argv[1])
box.start()
print(box.container_id, flush=True)
"""


@pytest.fixture
def engine(docker_image: str) -> Iterator[Any]:
    with contextlib.closing(connect()) as engine:
        yield engine


@contextlib.contextmanager
def holder(image: str, then: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a process that holds a box and then does something; yield it and the container's id."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER + then, image],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def is_there(engine: Any, container: str, within_s: float = 0.0) -> bool:
    """Tell whether a container exists, waiting so long for its end."""
    deadline = time.monotonic() + within_s
    while engine.containers(all=True, filters={"id": container}):
        if time.monotonic() >= deadline:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.docker
@pytest.mark.parametrize("end", ["", "raise OSError", "sys.exit(3)"])
def test_a_process_that_ends_takes_its_containers_along(
    docker_image: str, engine: Any, end: str
) -> None:
    with holder(docker_image, end) as (process, container):
        assert container
        process.wait(30)
        assert not is_there(engine, container)


@pytest.mark.docker
def test_a_killed_process_takes_its_containers_along(docker_image: str, engine: Any) -> None:
    with holder(docker_image, "box.run('sleep 300', timeout_s=300)") as (process, container):
        assert is_there(engine, container)
        process.send_signal(signal.SIGKILL)
        assert not is_there(engine, container, within_s=20)


@pytest.mark.docker
def test_a_forked_process_that_ends_leaves_its_parents_box_alone(docker_image: str) -> None:
    fork = (
        "import os\nchild = os.fork()\nif child == 0: sys.exit()\nos.waitpid(child, 0)\n"
        "print(box.run('echo alive', timeout_s=10).output)"
    )
    with holder(docker_image, fork) as (process, _):
        assert process.stdout is not None
        assert process.stdout.readline() == "alive\n"


@pytest.mark.docker
def test_a_closed_or_forgotten_box_is_removed_at_once(docker_image: str, engine: Any) -> None:
    box = DockerSandbox(image=docker_image)
    for end in (box.close, lambda: None):
        box.start()
        container = box.container_id
        assert is_there(engine, container)
        end()
    del box, end
    gc.collect()
    assert not is_there(engine, container)


@pytest.mark.docker
def test_pruning_removes_what_a_crash_left_and_nothing_of_a_living_process(
    docker_image: str, engine: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    # An agent that is paused does not notice that its host is gone.
    pause = (
        "from pivot_envs.sandbox.engine import connect; connect().pause(box.container_id)\n"
        "print('paused', flush=True); input()"
    )
    with (
        DockerSandbox(image=docker_image) as own,
        holder(docker_image, "input()") as (_, living),
        holder(docker_image, pause) as (process, container),
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "paused\n"
        assert container not in prune().removed
        process.kill()
        process.wait(30)
        assert is_there(engine, container, within_s=1)
        assert main(["prune"]) == 0
        # Others may have crashed, too.
        assert re.match(r"removed [1-9]\d* containers, kept ", capsys.readouterr().out)
        assert not is_there(engine, container)
        assert {living, own.container_id} <= set(prune().kept)
        assert own.run("echo alive", timeout_s=10).output == "alive\n"


def test_an_owner_is_gone_only_if_its_process_has_certainly_ended() -> None:
    own = Owner.current()
    assert Owner.parse(own.text()) == own
    assert not own.is_gone()
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    for gone in (
        replace(own, pid=ended.pid),
        replace(own, start_ticks=own.start_ticks + 1),
        replace(own, boot="another"),
    ):
        assert gone.is_gone()
    for unseen in (replace(own, machine="another", pid=1), replace(own, pid_namespace="1", pid=1)):
        assert not unseen.is_gone()


@pytest.mark.parametrize("text", ["", "a:b:c:d:e", "1:2:3:4", "a:b:c:1:2:3"])
def test_a_label_that_is_no_owner_is_none(text: str) -> None:
    assert Owner.parse(text) is None
