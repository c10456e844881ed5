import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import pivot_envs
from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.embedded import EmbeddedSandbox

PROGRAM = """
import sys
from pivot_envs.sandbox.embedded import EmbeddedSandbox

with EmbeddedSandbox(unsafe=True, level=sys.argv[1]) as box:
    assert box.level == sys.argv[1], box.level
    box.write_file("test_a.py", b"def test_a(): pass\\n")
    box.run("mkdir sub; cd sub; X=kept; setsid sleep 61.5 &", timeout_s=5)
    state = box.save()
    assert state.shell.startswith("cd -- '/workspace/sub'"), state.shell
    result = box.run("X=lost; setsid sleep 62.5 & sleep 62.5", timeout_s=0.3)
    assert result.timed_out, result
    result = box.run("pgrep -U $(id -u) -fc '^sleep 62.5'; echo $X", timeout_s=5)
    assert result.output == "0\\nkept\\n", result
    box.load(state)
    result = box.run("pgrep -U $(id -u) -fc '^sleep 61.5'; ls; pwd; ls ..; ulimit -v", timeout_s=5)
    assert result.output.startswith("0\\n") and result.output.endswith("test_a.py\\n1048576\\n")
    assert box.save().files == state.files
    assert box.run_tests(["test_a.py"], timeout_s=30).outcomes == {"test_a.py::test_a": "passed"}
print("done")
"""


LIKE_A_CONTAINER = """
import logging, os, sys
from pivot_envs.sandbox.agent.seccomp import build_filter, install
from pivot_envs.sandbox.embedded import EmbeddedSandbox

logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
install(build_filter(os.uname().machine, isolated=True))
with EmbeddedSandbox() as box:
    print(box.level, box.run("echo alive", timeout_s=5).output)
"""
HOST = """
from pivot_envs.sandbox.embedded import EmbeddedSandbox
box = EmbeddedSandbox(level="landlock")
box.start()
box.run("(setsid sleep 95.5 &)", timeout_s=5)
print("up", flush=True)
box.run("sleep 95.5", timeout_s=60)
"""


def start_python(*words: str, as_root: bool, folder: str = "") -> "subprocess.Popen[str]":
    """Start an interpreter on a program, with our packages, or skip the test."""
    python, *arguments = words
    is_root = os.geteuid() == 0
    if as_root and not is_root:
        pytest.skip("needs to be root")
    packages = Path(pytest.__file__).parents[1]
    source = Path(pivot_envs.__file__).parents[1]
    user = {"user": 65534, "group": 65534, "extra_groups": []} if is_root and not as_root else {}
    environment = {"PYTHONPATH": f"{source}:{packages}", "PATH": "/usr/bin:/bin"}
    if folder:
        environment["TMPDIR"] = folder
    return subprocess.Popen(
        [python, "-c", *arguments],
        env=environment,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **user,
    )


@pytest.mark.parametrize("as_root", [False, True])
def test_killing_the_host_leaves_no_process_and_no_folder(
    as_root: bool, python_for_all: str
) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o777)
        with start_python(python_for_all, HOST, as_root=as_root, folder=folder) as host:
            assert host.stdout is not None
            if host.stdout.readline() != "up\n":
                pytest.skip(host.stderr.read() if host.stderr else "")
            assert list(Path(folder).iterdir())
            host.kill()
        deadline = time.monotonic() + 10
        while list(Path(folder).iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(Path(folder).iterdir()) == []
    assert subprocess.run(["pgrep", "-f", "^sleep 95.5"], check=False).returncode == 1


@pytest.mark.parametrize("as_root", [False, True])
def test_where_namespaces_are_refused_landlock_takes_over(
    as_root: bool, python_for_all: str
) -> None:
    output, errors = start_python(python_for_all, LIKE_A_CONTAINER, as_root=as_root).communicate()
    if "SandboxUnavailableError" in errors:
        pytest.skip(errors.splitlines()[-1])
    assert output.startswith("a box started at level landlock (namespaces: unshare: "), errors
    assert output.endswith("\nlandlock alive\n\n")


@pytest.mark.parametrize("as_root", [False, True])
@pytest.mark.parametrize("level", ["namespaces", "landlock", "rlimits"])
def test_each_level_works_for_root_and_for_a_normal_user(
    level: str, as_root: bool, python_for_all: str
) -> None:
    output, errors = start_python(python_for_all, PROGRAM, level, as_root=as_root).communicate()
    if level != "rlimits" and "SandboxUnavailableError" in errors:
        pytest.skip(errors.splitlines()[-1])
    assert output == "done\n", errors


def test_without_isolation_nothing_starts_unless_it_is_asked_for() -> None:
    with pytest.raises(SandboxUnavailableError, match="unsafe=True"):
        EmbeddedSandbox(level="rlimits").start()


def test_the_level_is_logged_when_a_box_starts(
    make_embedded_box: Callable[..., EmbeddedSandbox], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "pivot_envs"), make_embedded_box() as box:
        level = box.level
    assert [f"at level {level} " in text for text in caplog.messages] == [True]


def test_a_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="'landlock'"):
        EmbeddedSandbox(level="chroot")
