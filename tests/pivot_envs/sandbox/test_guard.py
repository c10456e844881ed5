import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from pivot_envs.sandbox.agent.seccomp import _REFUSED, build_filter
from pivot_envs.sandbox.agent.syscalls import NUMBERS
from pivot_envs.sandbox.base import Sandbox

CALLS = (Path(__file__).parent / "programs" / "calls.py").read_text()
HERE = NUMBERS.get(os.uname().machine, {})
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def answers(box: Sandbox, *calls: tuple[str, Sequence[int]], shift: int = 0) -> list[str]:
    """Return what calls say, each given by name and arguments; those not on this machine don't."""
    listed = [(name, HERE[name] + shift, arguments) for name, arguments in calls if name in HERE]
    words = shlex.join(["python", "-I", "-S", "-c", CALLS, json.dumps(listed)])
    result = box.run(words, timeout_s=20)
    assert result.exit_code == 0, result
    return result.output.splitlines()


@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_of_calls_are_the_kernels(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip(f"{HEADERS[machine]} is not installed")
    text = HEADERS[machine].read_text()
    kernels = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text))
    known = {name: number for name, number in NUMBERS[machine].items() if name in kernels}
    assert len(known) > 60
    assert known == {name: int(kernels[name]) for name in known}


def test_an_unknown_machine_is_named() -> None:
    with pytest.raises(OSError, match="riscv64"):
        build_filter("riscv64", isolated=True)


def test_dangerous_calls_are_refused_before_their_arguments_are_looked_at(box: Sandbox) -> None:
    calls = [(name, [-1] * 5) for name in _REFUSED if name in HERE]
    assert answers(box, *calls) == [f"{name} EPERM" for name, _ in calls]


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("clone", [0x10000000 | 17, 0, 0, 0, 0], "EPERM"),  # CLONE_NEWUSER
        ("clone", [0x00020000 | 17, 0, 0, 0, 0], "EPERM"),  # CLONE_NEWNS
        ("clone3", [0, 0], "ENOSYS"),
        ("ioctl", [0, 0x5412, 0], "EPERM"),  # TIOCSTI
        ("ioctl", [1 << 20, 0x541B, 0], "EBADF"),  # FIONREAD
        ("personality", [0xFFFFFFFF], "done"),
        ("personality", [0x0040000], "EPERM"),  # ADDR_NO_RANDOMIZE
        ("prlimit64", [0, 7, 0, 0], "done"),
        ("prlimit64", [1, 7, 1 << 40, 0], "EPERM"),
        ("socket", [17, 3, 0], "EPERM"),  # AF_PACKET
        ("socket", [40, 1, 0], "EPERM"),  # AF_VSOCK
        ("socket", [38, 5, 0], "EPERM"),  # AF_ALG
        ("socket", [16, 3, 9], "EPERM"),  # AF_NETLINK, NETLINK_AUDIT
        ("mknodat", [-100, 0, 0x2000, 0], "EPERM"),  # S_IFCHR
        ("mknodat", [-100, 0, 0x6000, 0], "EPERM"),  # S_IFBLK
        ("mknodat", [-100, 0, 0x1000, 0], "EFAULT"),  # S_IFIFO
    ],
)
def test_arguments_decide_about_some_calls(
    box: Sandbox, name: str, arguments: list[int], answer: str
) -> None:
    assert answers(box, (name, arguments)) == [f"{name} {answer}"]


@pytest.mark.parametrize(
    ("name", "arguments", "refused"),
    [
        ("socket", [1, 1, 0], True),
        ("socket", [2, 1, 0], True),
        ("socket", [10, 2, 0], True),
        ("socket", [16, 3, 0], True),
        ("socketpair", [1, 1, 0, 0], False),
        ("mq_open", [0, 0], True),
        ("kill", [-1, 0], True),
        ("kill", [0, 0], False),
    ],
)
def test_without_namespaces_everything_shared_is_refused(
    box: Sandbox, level: str, name: str, arguments: list[int], refused: bool
) -> None:
    (answer,) = answers(box, (name, arguments))
    assert (answer == f"{name} EPERM") == (refused and level == "landlock")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86-64 has a second set of calls")
def test_the_second_set_of_calls_is_refused(box: Sandbox) -> None:
    assert answers(box, ("kill", [0, 0]), shift=0x40000000) == ["kill EPERM"]


def test_every_process_of_the_box_is_under_the_guard(box: Sandbox) -> None:
    box.write_file(
        "test_a.py",
        b"def test_a():\n    lines = open('/proc/self/status').read().splitlines()\n"
        b"    assert 'Seccomp:\\t2' in lines and 'NoNewPrivs:\\t1' in lines\n"
        b"    try: open('/proc/self/oom_score_adj', 'w')\n"
        b"    except PermissionError: return\n"
        b"    raise AssertionError('no Landlock')\n",
    )
    in_shell = "grep -E 'Seccomp:|NoNewPrivs' /proc/self/status; echo 0 > /proc/self/oom_score_adj"
    output = box.run(in_shell, timeout_s=10).output
    assert output.startswith("NoNewPrivs:\t1\nSeccomp:\t2\n")
    assert output.endswith("oom_score_adj: Permission denied\n")
    assert box.run_tests(["test_a.py"], timeout_s=30).outcomes == {"test_a.py::test_a": "passed"}
    assert box.run("pytest -q test_a.py", timeout_s=30).exit_code == 0
