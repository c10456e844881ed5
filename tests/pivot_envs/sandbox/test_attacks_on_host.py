"""Commands that reach for the machine: each is stopped, and the box goes on."""

import os
import shlex
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivot_envs.errors import SnapshotError
from pivot_envs.sandbox.base import FileEntry, Sandbox, SandboxState
from pivot_envs.snapshot import sha256

PACKAGE = Path(__file__).parents[3] / "pivot_envs"


@pytest.fixture(autouse=True)
def _goes_on(box: Sandbox) -> Iterator[None]:
    """Whatever a test did, the box answers afterwards, and saves and loads what it should."""
    yield
    assert box.run("echo alive", timeout_s=10).output == "alive\n"
    blob = b"content"
    state = SandboxState(
        (FileEntry("file", "file", 0o644, sha256(blob)),), "", {sha256(blob): blob}
    )
    box.load(state)
    assert box.save() == state


@pytest.fixture
def listener() -> Iterator[int]:
    """A port of the machine's loopback; whoever connects is told so."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    is_over = threading.Event()

    def serve() -> None:
        while not is_over.is_set():
            try:
                with server.accept()[0] as caller:
                    caller.sendall(b"reached")
            except TimeoutError:
                continue

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    is_over.set()
    thread.join()
    server.close()


def connect(host: str, port: int) -> str:
    return python(f"import socket; print(socket.create_connection(({host!r}, {port}), 2).recv(9))")


def python(source: str) -> str:
    return shlex.join(["python", "-c", source])


def test_the_machines_loopback_is_not_reached(box: Sandbox, listener: int) -> None:
    with socket.create_connection(("127.0.0.1", listener), 5) as here:
        assert here.recv(9) == b"reached"
    result = box.run(connect("127.0.0.1", listener), timeout_s=10)
    assert result.exit_code == 1
    assert "reached" not in result.output


def test_no_address_outside_is_reached(box: Sandbox) -> None:
    result = box.run(connect("192.0.2.1", 80), timeout_s=10)
    assert result.exit_code == 1
    assert "unreachable" in result.output or "not permitted" in result.output


def test_abstract_and_other_unix_sockets_of_the_machine_are_not_reached(
    box: Sandbox, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    for address in (f"\0pivot-{os.getpid()}", str(tmp_path / "s")):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(address)
            server.listen()
            source = f"import socket; socket.socket(socket.AF_UNIX).connect({address!r})"
            result = box.run(python(source), timeout_s=10)
            assert result.exit_code == 1
            assert result.output.splitlines()[-1].startswith(
                ("PermissionError", "ConnectionRefusedError", "FileNotFoundError")
            )


@pytest.mark.parametrize(
    "path",
    ["/root/.bashrc", "/etc/shadow", "/proc/1/environ", "/proc/1/root/etc/shadow", "/dev/mem"],
)
def test_files_of_the_machine_are_not_read(box: Sandbox, path: str) -> None:
    result = box.run(f"head -c 100 {path}", timeout_s=10)
    assert result.exit_code == 1
    assert "No such file" in result.output or "denied" in result.output


def test_files_that_everyone_may_read_are_not_read(box: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("known only outside")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    result = box.run(f"cat {secret}; ls {tmp_path}; cp -r {tmp_path} got", timeout_s=10)
    assert "known" not in result.output
    assert "secret\n" not in result.output
    assert box.run("cat got/secret", timeout_s=5).exit_code == 1


def test_the_projects_own_tasks_are_not_read(box: Sandbox) -> None:
    data = PACKAGE / "coding" / "data" / "mutations.jsonl.zst"
    assert data.exists()
    script = "import pivot_envs, pathlib; print(pathlib.Path(pivot_envs.__file__))"
    result = box.run(f"head -c 10 {data} | wc -c; python -c '{script}'", timeout_s=10)
    assert result.output.splitlines()[-2:] != [str(data)]
    assert "\n0\n" in f"\n{result.output}"
    assert "No module named" in result.output or "denied" in result.output


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none .",
        "mount --bind /usr .",
        "umount /proc",
        "unshare -Ur true",
        "unshare -m true",
        "nsenter -t 1 -a true",
        "nsenter -t $$ -U true",
        "chroot . /bin/true",
        "mknod sda b 8 0",
        "mknod mem c 1 1",
        "python -c 'import os; os.mknod(\"null\", 0o20666, os.makedev(1, 3))'",
        "echo x > /proc/sys/kernel/hostname",
        "echo 1 > /proc/sysrq-trigger",
        "echo x > /sys/kernel/mm/ksm/run",
        "hostname other",
        "date -s 2001-01-01",
        "dmesg",
        "touch /usr/bin/planted",
        "chmod 777 /usr/bin",
        "setfattr -n user.x -v y /usr/bin/env || touch -c -d 2001-01-01 /usr/bin/env",
        "sudo -n true || su -c true",
    ],
)
def test_the_machine_is_not_changed(box: Sandbox, command: str) -> None:
    result = box.run(command, timeout_s=10)
    assert result.exit_code not in (0, None), result


@pytest.mark.parametrize("target", ["/etc/passwd", "/root/x", "/", "../../etc/passwd", "/proc/1"])
def test_links_lead_the_host_nowhere(box: Sandbox, target: str) -> None:
    box.run(f"ln -s {target} link; ln {target} hard", timeout_s=5)
    for path in ("link", "link/x", "link/passwd"):
        with pytest.raises(FileNotFoundError):
            box.read_file(path)
        with pytest.raises(ValueError, match="cannot be written"):
            box.write_file(path, b"planted")
    state = box.save()
    assert [(entry.path, entry.kind, entry.content) for entry in state.files] == [
        ("link", "symlink", target)
    ]
    box.load(state)
    assert box.save() == state


@pytest.mark.parametrize(
    "plant", ["ln -s /etc {}", "ln -s / {}", "ln -s deep {}", "mkfifo {}", ": > {}"]
)
def test_a_folder_that_became_a_link_is_a_folder_again(box: Sandbox, plant: str) -> None:
    box.run("mkdir -p package/deep; echo 1 > package/deep/file", timeout_s=5)
    state = box.save()
    box.run("rm -rf package/deep; " + plant.replace("{}", "package/deep"), timeout_s=5)
    for path in ("package/deep/file", "package/deep/passwd", "package/deep/etc/passwd"):
        with pytest.raises(FileNotFoundError):
            box.read_file(path)
        with pytest.raises(ValueError, match="cannot be written"):
            box.write_file(path, b"planted")
    box.load(state)
    assert box.save() == state
    assert box.read_file("package/deep/file") == b"1\n"


def test_the_workspace_itself_cannot_be_replaced(box: Sandbox) -> None:
    result = box.run('W="$PWD"; cd /; rmdir "$W"; mv "$W" "$W.old"; ln -s / "$W"', timeout_s=5)
    assert result.exit_code != 0
    box.write_file("file", b"1")
    assert box.run('cat "$W/file"', timeout_s=5).output == "1"


def test_a_race_of_links_does_not_lead_a_write_outside(box: Sandbox, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    box.run(
        "mkdir a; (while :; do rm -rf a; mkdir a; rm -rf a; ln -s /etc a; done) 2>/dev/null &",
        timeout_s=5,
    )
    for _ in range(200):
        try:
            box.write_file("a/planted", b"x")
        except ValueError:
            continue
    assert not Path("/etc/planted").exists()
    assert box.run("test -e /etc/planted", timeout_s=5).exit_code == 1


def test_a_state_with_a_link_is_not_loaded_through_it(box: Sandbox) -> None:
    blob = b"planted"
    link = FileEntry("link", "symlink", 0, "/etc")
    below = FileEntry("link/planted", "file", 0o644, sha256(blob))
    with pytest.raises(SnapshotError, match="no folder of the state"):
        box.load(SandboxState((link, below), "", {sha256(blob): blob}))
    assert not Path("/etc/planted").exists()
