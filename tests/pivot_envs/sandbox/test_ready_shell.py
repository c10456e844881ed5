"""The bash that is started ahead, so that a load need not wait for one."""

import re

import pytest

from pivot_envs.sandbox.agent import landlock
from pivot_envs.sandbox.base import Sandbox

OTHERS = (
    "for p in /proc/[0-9]*; do [ -O $p ] && [ $(<$p/comm) = bash ] && echo ${p#/proc/}; done"
    " 2>/dev/null"
)


def ready_shell(box: Sandbox) -> int:
    """Return the process id of the bash that is not the one that runs commands."""
    own = int(box.run("echo $$", timeout_s=10).output)
    found = {int(pid) for pid in box.run(OTHERS, timeout_s=10).output.split()} - {own}
    if not found and (box.level == "docker" or landlock.abi() < landlock.MIN_ABI):
        pytest.skip("without Landlock commands could tamper with a shell that is ready")
    (pid,) = found
    return pid


def test_a_load_takes_the_shell_that_is_ready(box: Sandbox) -> None:
    box.run("X=3; cd /tmp", timeout_s=10)
    state = box.save()
    pid = ready_shell(box)
    box.run("X=4", timeout_s=10)
    box.load(state)
    assert box.run("echo $$ $X $PWD", timeout_s=10).output.split() == [str(pid), "3", "/tmp"]
    assert ready_shell(box) != pid


@pytest.mark.parametrize("path", ["fd/0", "fd/1", "mem", "environ"])
def test_commands_cannot_reach_into_the_shell_that_is_ready(box: Sandbox, path: str) -> None:
    pid = ready_shell(box)
    answer = box.run(f"exec 9<>/proc/{pid}/{path}; cat /proc/{pid}/{path}", timeout_s=10)
    assert len(re.findall("Permission denied", answer.output)) == 2


@pytest.mark.parametrize("signal", ["STOP", "KILL", "TERM", "USR1"])
def test_a_load_survives_what_commands_do_to_the_shell_that_is_ready(
    box: Sandbox, signal: str
) -> None:
    box.run("X=5", timeout_s=10)
    state = box.save()
    box.run(f"kill -{signal} {ready_shell(box)}; X=6", timeout_s=10)
    box.load(state)
    assert box.run("echo $X", timeout_s=10).output == "5\n"
