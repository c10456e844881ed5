import contextlib
import io
import math
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pivot_envs.errors import SandboxError, SandboxUnavailableError
from pivot_envs.sandbox.base import SandboxState
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.engine import OWNER_LABEL, Owner, connect
from pivot_envs.sandbox.limits import Limits
from pivot_envs.snapshot import sha256

pytestmark = pytest.mark.docker

MEGABYTE = 1024 * 1024

HOG = b"""
import os, signal, time
while True:
    try:
        os.fork() or signal.pause()
    except OSError:
        open("full", "w").close()
        time.sleep(0.001)
"""


def take_every_process(box: DockerSandbox) -> None:
    """Start what holds every process that the box may have, and wait until it does."""
    box.write_file("hog.py", HOG)
    box.run("python -I -S hog.py &", timeout_s=30)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            box.read_file("full")
            return
        time.sleep(0.05)
    raise AssertionError("some process is always free")


@pytest.fixture
def engine(docker_image: str) -> Iterator[Any]:
    with contextlib.closing(connect()) as engine:
        yield engine


@pytest.fixture
def own_containers(engine: Any) -> Callable[[], list[str]]:
    """Return a function that lists the containers of this process."""
    label = f"{OWNER_LABEL}={Owner.current().text()}"

    def found() -> list[str]:
        return [one["Id"] for one in engine.containers(all=True, filters={"label": label})]

    return found


def test_the_engine_holds_what_was_asked_for(docker_image: str, engine: Any) -> None:
    limits = {"memory_bytes": 256 * MEGABYTE, "pids_limit": 40, "cpus": 0.5}
    with DockerSandbox(image=docker_image, **limits) as box:
        assert box.level == "docker"
        found = engine.inspect_container(box.container_id)
    settings = found["HostConfig"]
    assert settings["Memory"] == settings["MemorySwap"] == 512 * MEGABYTE
    assert 40 < settings["PidsLimit"] < 60
    assert settings["NanoCpus"] == 500_000_000
    assert settings["NetworkMode"] == "none"
    assert settings["CapDrop"] == ["ALL"]
    assert settings["SecurityOpt"] == ["no-new-privileges"]
    assert settings["ReadonlyRootfs"]
    assert not settings["Privileged"]
    assert not settings["Binds"]
    assert set(settings["Tmpfs"]) == {"/workspace", "/tmp", "/run"}
    assert Owner.parse(found["Config"]["Labels"][OWNER_LABEL]) == Owner.current()


def test_commands_have_no_privileges_and_cannot_gain_any(docker_image: str) -> None:
    with DockerSandbox(image=docker_image) as box:
        status = box.run("cat /proc/self/status", timeout_s=10).output
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert f"{name}:\t0000000000000000\n" in status
        assert "NoNewPrivs:\t1\n" in status
        assert "Uid:\t1000\t1000\t1000\t1000\n" in status
        for command in ("cat /run/agent.zip", "touch /run/agent/x", "ls /proc/1/fd", "touch /x"):
            assert box.run(command, timeout_s=10).exit_code != 0, command


def test_other_limits_mean_another_container(docker_image: str) -> None:
    with DockerSandbox(image=docker_image) as box:
        first = box.container_id
        box.set_limits(box.limits)
        assert box.container_id == first
        box.set_limits(Limits(processes=50))
        assert box.container_id == ""
        box.start()
        assert box.limits == Limits(processes=50)
        assert box.container_id not in ("", first)


def test_a_box_without_a_free_process_can_still_be_saved_and_loaded(docker_image: str) -> None:
    with DockerSandbox(image=docker_image, pids_limit=30) as box:
        box.write_file("a", b"1")
        before = box.save()
        take_every_process(box)
        box.write_file("a", b"2")
        assert dict(box.save().blobs).keys() >= {sha256(b"2")}
        assert "esource temporarily unavailable" in box.run("/bin/true; true", timeout_s=30).output
        box.load(before)
        assert box.run("/bin/cat a; pgrep -c hog", timeout_s=10).output == "10\n"


def test_a_shell_that_ends_when_no_process_is_free_is_the_commands_problem(
    docker_image: str,
) -> None:
    with DockerSandbox(image=docker_image, pids_limit=30) as box:
        take_every_process(box)
        for _ in range(2):
            box.run("kill -9 $$", timeout_s=1)
        box.load(SandboxState((), "", {}))
        assert box.run("/bin/echo on", timeout_s=30).output == "on\n"


def test_memory_in_sum_is_the_commands_problem(docker_image: str) -> None:
    with DockerSandbox(image=docker_image, memory_bytes=128 * MEGABYTE) as box:
        result = box.run("python -c 'bytearray(300_000_000)'", timeout_s=20)
        assert "MemoryError" in result.output
        hog = "python -c 'x = bytearray(90_000_000); import time; time.sleep(3)'"
        box.run(f"{hog} & {hog} & {hog} & wait", timeout_s=30)
        assert box.run("echo alive", timeout_s=10).output == "alive\n"


def test_full_folders_are_the_commands_problem(docker_image: str) -> None:
    with DockerSandbox(image=docker_image, memory_bytes=128 * MEGABYTE) as box:
        fill = "for i in 1 2 3; do head -c 50M /dev/zero > %s/$i; done"
        for folder in ("/workspace", "/tmp", "/dev/shm"):
            assert "No space left" in box.run(fill % folder, timeout_s=30).output
        assert box.run("python -c 'print(1)'", timeout_s=20).output == "1\n"
        with pytest.raises(ValueError, match="No space left"):
            box.write_file("c", b"x" * 50_000_000)
        assert box.run("rm /workspace/* /tmp/* /dev/shm/*; echo alive", timeout_s=20).output == (
            "alive\n"
        )


def test_many_boxes_are_driven_from_threads(docker_image: str) -> None:
    def work(number: int) -> str:
        with DockerSandbox(image=docker_image) as box:
            box.run(f"X={number}", timeout_s=20)
            return box.run("echo $X", timeout_s=20).output

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(8))) == [f"{number}\n" for number in range(8)]


def test_an_image_that_is_missing_is_named_with_the_command_that_builds_it(
    docker_image: str,
) -> None:
    with pytest.raises(SandboxUnavailableError, match="build-image lost/image:1"):
        DockerSandbox(image="lost/image:1").start()


def test_an_image_without_python_and_bash_is_refused_and_leaves_nothing(
    engine: Any, own_containers: Callable[[], list[str]]
) -> None:
    engine.import_image_from_data(archive("nothing", b""), "pivotrl-envs-tests", "bare")
    try:
        with pytest.raises(SandboxError, match=r"no python3 of 3.9 .* needs /bin/bash"):
            DockerSandbox(image="pivotrl-envs-tests:bare").start()
        assert own_containers() == []
    finally:
        engine.remove_image("pivotrl-envs-tests:bare", force=True)


def archive(path: str, content: bytes) -> bytes:
    """Return a tar archive of one program."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        member = tarfile.TarInfo(path)
        member.size, member.mode = len(content), 0o755
        tar.addfile(member, io.BytesIO(content))
    return whole.getvalue()


@pytest.mark.parametrize(
    ("python3", "reason"),
    [
        ("echo of no use >&2", "of no use"),
        ("echo some text", "the agent did not start"),
        ('exec /usr/local/bin/python -S -c "${5/agent.container/agent.lost}"', "agent.lost"),
    ],
)
def test_the_reason_why_an_agent_does_not_start_is_told(
    docker_image: str,
    engine: Any,
    own_containers: Callable[[], list[str]],
    python3: str,
    reason: str,
) -> None:
    with image_with_python3(engine, docker_image, python3) as image:
        with pytest.raises(SandboxError, match=reason):
            DockerSandbox(image=image).start()
        assert own_containers() == []


def test_an_image_with_an_older_python_is_served_all_the_same(
    docker_image: str, engine: Any
) -> None:
    older = 'exec /usr/local/bin/python -S -c "import sys; sys.version_info = (3, 8); $5"'
    with (
        image_with_python3(engine, docker_image, older) as image,
        DockerSandbox(image=image) as box,
    ):
        assert box.run("echo on", timeout_s=20).output == "on\n"
        with pytest.raises(SandboxError, match=r"no Python 3\.9"):
            box.run_tests(["test_some.py"], timeout_s=20)


@contextlib.contextmanager
def image_with_python3(engine: Any, image: str, program: str) -> Iterator[str]:
    """Make an image whose python3 is a program of bash."""
    made = engine.create_container(image, command=["true"])["Id"]
    script = f'#!/bin/bash\nset -- python3 "$@"\n{program}\n'.encode()
    engine.put_archive(made, "/usr/local/bin", archive("python3", script))
    engine.commit(made, "pivotrl-envs-tests", "broken")
    engine.remove_container(made)
    try:
        yield "pivotrl-envs-tests:broken"
    finally:
        engine.remove_image("pivotrl-envs-tests:broken", force=True)


def test_an_engine_that_does_not_answer_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxUnavailableError, match=r"none.sock.*docker-engine"):
        DockerSandbox().start()


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(SandboxUnavailableError, match=r"pivotrl-envs\[docker\]"):
        DockerSandbox().start()


def test_importing_does_not_load_the_client() -> None:
    program = "import sys, pivot_envs.coding.env; sys.exit('docker' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "limits",
    [
        *({"memory_bytes": MEGABYTE}, {"pids_limit": 0}, {"network": ""}),
        *({"cpus": cpus} for cpus in (0.0, 1e-10, math.nan, math.inf)),
    ],
)
def test_limits_that_no_box_could_keep_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least"):
        DockerSandbox(**limits)
