import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pivot_envs.errors import SandboxError
from pivot_envs.sandbox.base import Sandbox
from pivot_envs.sandbox.embedded import EmbeddedSandbox

MakeBox = Callable[..., Sandbox]


def test_the_level_is_reported_while_the_box_runs(box: Sandbox, level: str) -> None:
    assert box.level == level
    assert EmbeddedSandbox().level == ""


@pytest.mark.parametrize(
    "command",
    [
        "ls /home",
        "cat /etc/shadow",
        "touch /usr/x",
        "touch /x",
        "mount -t tmpfs none /workspace",
        "python -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 2)'",
        "ls /proc/1/fd",
        "cat /proc/1/environ",
        "kill -9 1 && kill -0 1 && false",
    ],
)
def test_what_is_outside_cannot_be_reached(box: Sandbox, command: str) -> None:
    result = box.run(command, timeout_s=10)
    assert result.exit_code not in (0, None), result
    assert box.run("echo alive", timeout_s=5).output == "alive\n"


def test_the_machine_outside_is_invisible(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    assert box.run(f"test -e {tmp_path}/secret", timeout_s=5).exit_code == 1
    assert box.run(f"kill -0 {os.getpid()}", timeout_s=5).exit_code == 1
    assert "CapEff:\t0000000000000000" in box.run("cat /proc/self/status", timeout_s=5).output


def test_loopback_works_inside_a_network_namespace_only(box: Sandbox, level: str) -> None:
    script = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); "
        "c = socket.create_connection(s.getsockname()); print('connected')"
    )
    output = box.run(f'python -c "{script}"', timeout_s=10).output
    assert output.splitlines()[-1] == (
        "connected" if level != "landlock" else "PermissionError: [Errno 1] Operation not permitted"
    )


def test_memory_and_file_size_are_limited(make_embedded_box: MakeBox) -> None:
    with make_embedded_box(memory_limit_mb=256, max_file_mb=1) as box:
        result = box.run("python -c 'bytearray(300_000_000)'", timeout_s=10)
        assert "MemoryError" in result.output
        assert box.run("head -c 2000000 /dev/zero > big", timeout_s=5).exit_code != 0
        assert len(box.read_file("big")) == 1024 * 1024


def test_a_full_workspace_is_the_commands_problem() -> None:
    with EmbeddedSandbox(memory_limit_mb=64) as box:
        result = box.run("head -c 50M /dev/zero > a; head -c 50M /dev/zero > b", timeout_s=20)
        assert "No space left" in result.output
        with pytest.raises(ValueError, match="No space left"):
            box.write_file("c", b"x" * 50_000_000)
        assert box.run("rm a b; echo alive", timeout_s=5).output == "alive\n"


@pytest.mark.parametrize("path", ["../etc/passwd", "/etc/passwd", "link", "up/etc/passwd", "none"])
def test_files_outside_the_workspace_are_not_read(box: Sandbox, path: str) -> None:
    box.run("ln -s /etc/passwd link; ln -s / up; mkfifo pipe; mkdir folder", timeout_s=5)
    with pytest.raises(FileNotFoundError):
        box.read_file(path)


@pytest.mark.parametrize("path", ["pipe", "folder", ".", "file/x", "loop", "x" * 300, "nul\0"])
def test_what_is_no_file_is_not_read(box: Sandbox, path: str) -> None:
    box.run("mkfifo pipe; mkdir folder; : > file; ln -s loop loop", timeout_s=5)
    with pytest.raises(FileNotFoundError):
        box.read_file(path)


@pytest.mark.parametrize(
    "path", ["../x", "/tmp/x", "link", "up/tmp/x", "folder", ".", "", "file/x", "x" * 300]
)
def test_files_outside_the_workspace_are_not_written(
    box: Sandbox, path: str, list_scratch: str
) -> None:
    box.run("ln -s /tmp/x link; ln -s / up; mkdir folder; : > file", timeout_s=5)
    with pytest.raises(ValueError, match=r"outside|folder|Not a dir|too long"):
        box.write_file(path, b"x")
    assert box.run(list_scratch, timeout_s=5).output == ""


def test_a_written_file_keeps_its_mode_and_belongs_to_the_user(box: Sandbox) -> None:
    box.run("echo long content > a; chmod 751 a; ln -s a link", timeout_s=5)
    box.write_file("link", b"new")
    box.write_file("/workspace/deep/er/b", b"b")
    user = box.run("id -u", timeout_s=5).output.strip()
    assert box.run("stat -c '%a %u' a deep deep/er/b", timeout_s=5).output == (
        f"751 {user}\n755 {user}\n644 {user}\n"
    )
    assert box.read_file("a") == b"new"


def test_a_dead_box_raises_and_can_be_started_again(make_embedded_box: MakeBox) -> None:
    box = make_embedded_box()
    with pytest.raises(SandboxError, match="start"):
        box.run("true", timeout_s=1)
    before = _launchers()
    box.start()
    (launcher,) = _launchers() - before
    os.kill(launcher, signal.SIGKILL)
    with pytest.raises(SandboxError, match="died"):
        _run_until_it_fails(box)
    box.start()
    assert box.run("echo on", timeout_s=5).output == "on\n"
    box.close()
    box.close()


def test_a_killed_agent_leaves_nothing_running(make_embedded_box: MakeBox) -> None:
    before = _launchers()
    box = make_embedded_box()
    box.start()
    (launcher,) = _launchers() - before
    (agent,) = _children(launcher)
    box.run("sleep 96.5 & setsid sleep 96.5 & (setsid sleep 96.5 &) & /bin/sleep 0.3", timeout_s=5)
    _await_count("96.5", 3)
    os.kill(agent, signal.SIGKILL)
    _await_none("96.5")
    with pytest.raises(SandboxError, match="died"):
        box.run("true", timeout_s=1)


def test_closing_ends_every_process(make_box: MakeBox) -> None:
    with make_box() as box:
        box.run("sleep 98.7 & setsid sleep 98.7 & /bin/sleep 0.2", timeout_s=5)
        _await_count("98.7", 2)
    _await_none("98.7")


def test_killing_the_host_ends_the_box() -> None:
    program = (
        "from pivot_envs.sandbox.embedded import EmbeddedSandbox; import time\n"
        "box = EmbeddedSandbox(); box.start()\n"
        "box.run('setsid sleep 97.6 &', timeout_s=5)\n"
        "print('up', flush=True); box.run('sleep 97.6', timeout_s=60)\n"
    )
    host = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    with host:
        assert host.stdout is not None
        assert host.stdout.readline() == b"up\n"
        host.kill()
    _await_none("97.6")


def test_many_boxes_are_driven_from_threads(make_box: MakeBox) -> None:
    def work(number: int) -> str:
        with make_box() as box:
            box.run(f"X={number}", timeout_s=10)
            return box.run("echo $X", timeout_s=10).output

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(8))) == [f"{number}\n" for number in range(8)]


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        EmbeddedSandbox(max_processes=0)


def _run_until_it_fails(box: Sandbox) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        box.run("true", timeout_s=1)


def _command_lines() -> dict[int, str]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
    return found


def _count(text: str) -> int:
    return sum(line.startswith("sleep") and text in line for line in _command_lines().values())


def _await_none(text: str) -> None:
    _await_count(text, 0)


def _await_count(text: str, count: int) -> None:
    deadline = time.monotonic() + 10
    while _count(text) != count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _count(text) == count


def _launchers() -> set[int]:
    return {
        pid
        for pid, line in _command_lines().items()
        if "agent.launcher" in line and f"PPid:\t{os.getpid()}\n" in _status(pid)
    }


def _children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""
