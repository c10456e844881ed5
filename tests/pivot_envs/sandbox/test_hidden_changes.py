"""Changes that leave hardly a trace: each is saved, and none outlives a load."""

import shlex
import time

import pytest

from pivot_envs.sandbox.base import Sandbox, SandboxState

EMPTY = SandboxState((), "", {})

KEEPS_A_FILE_IN_A_SOCKET = """
import array, mmap, os, socket, time
ours, theirs = socket.socketpair()
file = os.open("file", os.O_RDWR)
for path in ("go", "again"):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
    ours.sendmsg([b"x"], rights)
    os.close(file)
    open(os.environ["TMPDIR"] + "/sent", "w").close()
    while not os.path.exists(os.environ["TMPDIR"] + "/" + path):
        time.sleep(0.01)
    file = socket.recv_fds(theirs, 1, 1)[1][0]
    page = mmap.mmap(file, 5)
    page[:] = b"other"
    page.close()
"""
LEAVES_A_THREAD = """
import ctypes, os, threading, time
def write():
    while True:
        open("alive", "a").close()
        time.sleep(0.001)
threading.Thread(target=write).start()
while not os.path.exists("alive"):
    time.sleep(0.001)
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
"""


@pytest.fixture
def large_box(box: Sandbox) -> Sandbox:
    """A box with so many files that not all of them are looked at."""
    box.run("mkdir many; touch many/{1..250}", timeout_s=10)
    return box


def python(program: str) -> str:
    return f"python3 -I -S -c {shlex.quote(program)}"


def content(box: Sandbox, path: str) -> bytes:
    state = box.save()
    (entry,) = [entry for entry in state.files if entry.path == path]
    return state.blobs[entry.content]


def settle(box: Sandbox) -> None:
    """Wait until the files' time stamps say enough that nothing is read again, and look."""
    time.sleep(0.05)
    box.save()
    box.save()


def test_a_write_through_a_mapping_of_what_the_shell_has_open_is_saved(large_box: Sandbox) -> None:
    large_box.run("echo first > file; exec 3<>file", timeout_s=10)
    settle(large_box)
    program = "import mmap; page = mmap.mmap(3, 5); page[:] = b'other'"
    assert large_box.run(python(program), timeout_s=10).exit_code == 0
    assert content(large_box, "file") == b"other\n"


def test_a_write_through_a_name_that_is_gone_is_saved(large_box: Sandbox) -> None:
    large_box.run("mkdir a b; echo first > a/file", timeout_s=10)
    settle(large_box)
    large_box.run("ln a/file b/x; exec 3>>b/x; rm b/x; echo new > b/x", timeout_s=10)
    settle(large_box)
    large_box.run("echo second >&3", timeout_s=10)
    assert content(large_box, "a/file") == b"first\nsecond\n"
    large_box.run("ln a/file b/y; echo third >> b/y; rm b/y", timeout_s=10)
    assert content(large_box, "a/file") == b"first\nsecond\nthird\n"


def test_a_write_to_a_file_that_waits_in_a_socket_is_saved(large_box: Sandbox) -> None:
    large_box.run("echo first > file", timeout_s=10)
    large_box.run(
        f"{python(KEEPS_A_FILE_IN_A_SOCKET)} & cd; until [ -e sent ]; do :; done", timeout_s=10
    )
    settle(large_box)
    large_box.run("rm sent; touch go; until [ -e sent ]; do sleep 0.01; done", timeout_s=10)
    assert content(large_box, "file") == b"other\n"


def test_a_process_whose_first_thread_has_ended_does_not_outlive_a_load(large_box: Sandbox) -> None:
    large_box.run(
        f"{python(LEAVES_A_THREAD)} & until [ -e alive ]; do sleep 0.01; done", timeout_s=10
    )
    time.sleep(0.05)
    large_box.load(EMPTY)
    large_box.run("kill -CONT -1; sleep 0.1", timeout_s=10)
    assert large_box.save().files == ()
