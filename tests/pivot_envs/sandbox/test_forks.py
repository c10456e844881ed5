"""Processes that a program forks while it has a box."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.embedded import EmbeddedSandbox

PROGRAM = """
import os, sys, time
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.embedded import EmbeddedSandbox
from pivot_envs.errors import SandboxError
box = DockerSandbox(image=sys.argv[1]) if sys.argv[1:] else EmbeddedSandbox()
box.start()
box.run("setsid sleep 4217.5 & X=kept", timeout_s=10)
child = os.fork()
if child == 0:
    try:
        box.run("true", timeout_s=10)
    except SandboxError:
        sys.exit(3)  # With everything that an interpreter does at its end.
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
print(box.run("echo $X", timeout_s=10).output, end="", flush=True)
child = os.fork()
if child == 0:
    time.sleep(600)
print(child, flush=True)
time.sleep(600)
"""


def sleepers() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == b"sleep\x004217.5\x00":
                found.append(path.parent.name)
    return found


@pytest.mark.parametrize("kind", ["embedded", pytest.param("docker", marks=pytest.mark.docker)])
def test_a_forked_process_neither_ends_a_box_nor_keeps_it(
    kind: str, request: pytest.FixtureRequest
) -> None:
    arguments = [request.getfixturevalue("docker_image")] if kind == "docker" else []
    if kind == "embedded":
        try:
            with EmbeddedSandbox():
                pass
        except SandboxUnavailableError as error:
            pytest.skip(str(error))
    program = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    lines = [program.stdout.readline() for _ in range(3)]
    assert lines[:2] == ["3\n", "kept\n"]
    try:
        assert len(sleepers()) == 1
        program.kill()
        deadline = time.monotonic() + 20.0
        while time.monotonic() < deadline and sleepers():
            time.sleep(0.05)
        assert sleepers() == []
    finally:
        os.kill(int(lines[2]), signal.SIGKILL)
        program.stdout.close()
        program.wait()
