"""Boxes of images that have bash and coreutils, but no Python, or one that is too old."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pivot_envs.errors import SandboxError, SandboxUnavailableError
from pivot_envs.sandbox import bootstrap
from pivot_envs.sandbox.base import Sandbox
from pivot_envs.sandbox.bootstrap import bootstrap_for, note_failure
from pivot_envs.sandbox.carried_python import carried_python
from pivot_envs.sandbox.container import START_TIMEOUT_S
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.embedded import EmbeddedSandbox
from pivot_envs.sandbox.engine import OWNER_LABEL, Owner, connect
from pivot_envs.sandbox.testing import TEST_LAWS, check_sandbox

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def engine(docker_image: str) -> Iterator[Any]:
    with contextlib.closing(connect()) as engine:
        yield engine


@pytest.fixture
def box(bare_image: str) -> Iterator[DockerSandbox]:
    with DockerSandbox(image=bare_image) as box:
        yield box


def output(box: Sandbox, command: str) -> str:
    return box.run(command, timeout_s=20).output


def test_the_contract_holds_but_for_test_runs(bare_image: str) -> None:
    check_sandbox(lambda: DockerSandbox(image=bare_image), but=TEST_LAWS)


def test_test_runs_are_refused_and_nothing_else(box: DockerSandbox) -> None:
    box.write_file("test_some.py", b"def test_it(): pass")
    with pytest.raises(SandboxError, match=r"the box's image has no Python 3.9 or newer"):
        box.run_tests(["test_some.py"], timeout_s=20)
    assert (
        output(box, "python -m pytest test_some.py") == "bash: line 1: python: command not found\n"
    )
    assert output(box, "ls") == "test_some.py\n"


def test_commands_neither_see_nor_run_the_agents_python(box: DockerSandbox) -> None:
    assert output(box, "id -u") == "1000\n"
    for command in (
        "ls /run/python",
        "cat /run/python/ld.so",
        "/run/python/ld.so",
        "ls /proc/1/fd",
    ):
        assert "Permission denied" in output(box, command), command
    assert "LD_" not in output(box, "cat /proc/self/environ | tr '\\0' '\\n'")


def test_the_container_is_held_as_tightly_as_any(
    box: DockerSandbox, docker_image: str, engine: Any
) -> None:
    with DockerSandbox(image=docker_image) as usual:
        settings = [
            engine.inspect_container(one.container_id)["HostConfig"] for one in (box, usual)
        ]
    bare, full = settings
    size = carried_python().size
    assert bare.pop("Memory") - full.pop("Memory") == size
    assert bare.pop("MemorySwap") - full.pop("MemorySwap") == size
    assert bare["Tmpfs"].pop("/run") != full["Tmpfs"].pop("/run")
    assert bare == full


def test_states_move_between_bare_boxes_and_others(box: DockerSandbox, docker_image: str) -> None:
    output(box, "mkdir -p a/b; echo one > a/c; chmod 600 a/c; ln -s c a/l; cd a; X=2; f() { ls; }")
    state = box.save()
    for make in (EmbeddedSandbox, lambda: DockerSandbox(image=docker_image)):
        with make() as other:
            other.load(state)
            assert (
                output(other, "pwd; echo $X; f; stat -c %a c") == "/workspace/a\n2\nb\nc\nl\n600\n"
            )
            again = other.save()
        assert again == state
        box.load(again)
        assert output(box, "pwd; echo $X; f; readlink l") == "/workspace/a\n2\nb\nc\nl\nc\n"


def test_it_is_told_once_for_an_image(
    bare_image: str, engine: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_without_python", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with DockerSandbox(image=bare_image, spare_boxes=1) as box:
                assert output(box, "echo on") == "on\n"
    (record,) = caplog.records
    assert record.getMessage().startswith(f"the image {bare_image} has no Python 3.9 or newer")
    label = f"{OWNER_LABEL}={Owner.current().text()}"
    assert engine.containers(all=True, filters={"label": label}) == []


def test_boxes_that_are_the_first_of_their_image_at_the_same_time_all_start(
    bare_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_without_python", set())

    def use(number: int) -> str:
        with DockerSandbox(image=bare_image) as box:
            return output(box, f"echo {number}")

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(use, range(3))) == ["0\n", "1\n", "2\n"]


def test_an_image_without_coreutils_is_refused_at_once_with_what_it_lacks(
    image_of_programs: Callable[..., AbstractContextManager[str]],
) -> None:
    began = time.monotonic()
    with (
        image_of_programs("bash-only", ["bash"]) as image,
        pytest.raises(SandboxError, match=r"(?s)mkdir: command not found.*needs .*coreutils"),
    ):
        DockerSandbox(image=image).start()
    assert time.monotonic() - began < START_TIMEOUT_S / 2


def test_an_image_of_another_architecture_is_refused_with_both_names() -> None:
    image = {"Id": "sha256:other", "Os": "linux", "Architecture": "s390x", "RepoTags": None}
    error = SandboxError('exec: "python3": executable file not found in $PATH: unknown')
    assert note_failure(image, error)
    with pytest.raises(SandboxUnavailableError, match=r"for linux/s390x.*this machine's.*linux/"):
        bootstrap_for(image)


def test_the_carried_python_holds_what_it_needs_and_little_more() -> None:
    python = carried_python()
    assert python.program[0] in python.files
    assert python.program[-1] in python.files
    names = [Path(path).name for path in python.files]
    assert "libc.so.6" in names
    assert not [name for name in names if "tkinter" in name or "sqlite" in name]
