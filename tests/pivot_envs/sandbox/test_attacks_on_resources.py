"""Commands that use up what there is: each is bounded or ended, and the box goes on."""

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pivot_envs.errors import SnapshotError, UnsavableError
from pivot_envs.sandbox.base import FileEntry, Sandbox, SandboxState
from pivot_envs.snapshot import sha256

EMPTY = SandboxState((), "", {})
DEEP = "import os\nfor _ in range(10_000): os.mkdir('d'); os.chdir('d')\n"
SPARSE = "for i in $(seq 40); do truncate -s 60M s$i; echo $i >> s$i; done 2>/dev/null; ls | wc -l"


@pytest.fixture(autouse=True)
def _goes_on(box: Sandbox) -> Iterator[None]:
    """Whatever a test did, the box answers afterwards, and saves and loads what it should."""
    yield
    assert box.run("echo alive", timeout_s=10).output == "alive\n"
    state = state_of({"file": b"content"})
    box.load(state)
    assert box.save() == state
    assert box.run("ls -A . $TMPDIR | grep -v python-", timeout_s=5).output.split()[1:2] == ["file"]


@pytest.fixture
def small_box(make_box: Callable[..., Sandbox]) -> Iterator[Sandbox]:
    sandbox = make_box()
    sandbox.set_limits(replace(sandbox.limits, memory_bytes=100 * 1024 * 1024))
    with sandbox:
        yield sandbox


def state_of(files: Mapping[str, bytes]) -> SandboxState:
    entries = [FileEntry(path, "file", 0o644, sha256(blob)) for path, blob in files.items()]
    return SandboxState(tuple(entries), "", {sha256(blob): blob for blob in files.values()})


def python(source: str) -> str:
    return shlex.join(["python", "-I", "-S", "-c", source])


@pytest.mark.parametrize(
    "command",
    [
        "bomb() { bomb | bomb & }; bomb; sleep 30",
        python("import os\nwhile True:\n try: os.fork()\n except OSError: pass"),
        python("import _thread, time\nwhile True: _thread.start_new_thread(time.sleep, (9,))")
        + "; sleep 30",
        "yes | tr '\\n' x",
        "cat /dev/zero",
        "cat /dev/urandom",
        "while :; do echo x; done",
        "while :; do : > f$RANDOM$RANDOM; done",
        "trap '' TERM INT HUP; while :; do :; done",
    ],
)
def test_what_never_ends_is_ended(box: Sandbox, command: str) -> None:
    assert box.run(command, timeout_s=1.0).timed_out


def test_memory_is_bounded_for_each_process(box: Sandbox) -> None:
    result = box.run(python("x = bytearray(2_000_000_000)"), timeout_s=10)
    assert "MemoryError" in result.output
    assert box.run("head -c 3G /dev/zero | tail", timeout_s=20).exit_code != 0


def test_a_file_is_bounded(box: Sandbox) -> None:
    assert box.run("head -c 100M /dev/zero > big; truncate -s 1T big", timeout_s=20).exit_code != 0
    assert box.run("stat -c %s big", timeout_s=5).output == f"{64 * 1024 * 1024}\n"


def test_the_disk_is_filled_no_further_than_the_box(small_box: Sandbox, level: str) -> None:
    if level == "landlock":
        pytest.skip("without mounts there is no room of its own: not stopped")
    script = "for i in $(seq 20); do head -c 60M /dev/zero > f$i || break; done; ls | wc -l"
    for folder in (".", "$TMPDIR", "/dev/shm"):
        result = small_box.run(f"cd {folder} && {script}", timeout_s=60)
        assert "No space left" in result.output
        small_box.load(EMPTY)


@pytest.mark.parametrize(
    "command",
    [
        "setsid sleep 71.5 & sleep 71.5",
        "(setsid sleep 71.5 &) ; (setsid setsid sleep 71.5 &); sleep 71.5",
        "nohup sleep 71.5 & disown -a; sleep 71.5",
        python(
            "import os, time\n"
            "for _ in range(20):\n"
            "    if os.fork() == 0:\n"
            "        os.setsid()\n"
            "        if os.fork(): os._exit(0)\n"
            "        os.execvp('sleep', ['sleep', '71.5'])\n"
            "time.sleep(71.5)"
        ),
        "f() { sleep 71.5 & (sleep 0.05; f) & }; f; sleep 71.5",
        "coproc sleep 71.5; exec 5> >(sleep 71.5); sleep 71.5",
    ],
)
def test_a_timeout_leaves_no_daemon(box: Sandbox, command: str) -> None:
    assert box.run(command, timeout_s=0.7).timed_out
    assert box.run("pgrep -cU $(id -u) sleep", timeout_s=5).output == "0\n"


def test_a_load_leaves_no_daemon(box: Sandbox) -> None:
    box.run("(setsid sleep 71.5 &); f() { sleep 71.5 & (sleep 0.05; f) & }; f", timeout_s=5)
    box.load(EMPTY)
    assert box.run("pgrep -cU $(id -u) sleep", timeout_s=5).output == "0\n"


@pytest.mark.slow
@pytest.mark.parametrize("folder", [".", "$TMPDIR"])
def test_ten_thousand_folders_in_each_other_are_refused_and_removed(
    box: Sandbox, folder: str
) -> None:
    assert box.run(f"cd {folder}; {python(DEEP)}", timeout_s=90).exit_code == 0
    if folder == ".":
        with pytest.raises(UnsavableError, match="deeper than 200"):
            box.save()


def test_more_than_a_state_can_hold_is_refused(small_box: Sandbox) -> None:
    assert small_box.run(SPARSE, timeout_s=20).output == "40\n"
    with pytest.raises(UnsavableError, match="larger than"):
        small_box.save()
    small_box.load(EMPTY)
    assert small_box.save() == EMPTY


def test_files_that_cannot_be_read_are_saved_or_refused(box: Sandbox) -> None:
    box.run("mkdir -p a/b; echo 1 > a/b/c; echo 2 > d; chmod 0 a/b/c a/b a d", timeout_s=5)
    try:
        state = box.save()
    except UnsavableError:
        assert os.geteuid() != 0
        return
    box.load(EMPTY)
    box.load(state)
    assert box.save() == state


def deep_entries(depth: int) -> tuple[FileEntry, ...]:
    paths = ["/".join("d" * count) for count in range(1, depth + 1)]
    return tuple(FileEntry(path, "directory", 0o755, "") for path in paths)


@pytest.mark.parametrize(
    "entries",
    [
        (FileEntry("../out", "file", 0o644, sha256(b"x")),),
        (FileEntry("/etc/out", "file", 0o644, sha256(b"x")),),
        (FileEntry("a/../../out", "symlink", 0, "/"),),
        (FileEntry("nul\0", "symlink", 0, "/"),),
        (FileEntry("nul", "symlink", 0, "/\0"),),
        (FileEntry("a", "symlink", 0, "/etc"), FileEntry("a/out", "file", 0o644, sha256(b"x"))),
        (FileEntry("a", "file", 0o644, sha256(b"x")), FileEntry("a/out", "directory", 0o755, "")),
        (FileEntry(".", "symlink", 0, "/etc"),),
        (FileEntry("a", "link", 0, "/etc/passwd"),),
        (FileEntry("a", "device", 0o666, "1:3"),),
        (FileEntry("a", "file", 0o20666, sha256(b"x")),),
        (FileEntry("a", "file", -1, sha256(b"x")),),
        (FileEntry("a" * 300, "directory", 0o755, ""),),
        deep_entries(10_000),
        tuple(FileEntry(f"f{number}", "directory", 0o755, "") for number in range(200_001)),
        tuple(FileEntry(f"l{number}", "symlink", 0, "t" * 4000) for number in range(9_000)),
    ],
    ids=lambda entries: f"{len(entries)}-{entries[0].kind}-{entries[0].path[:12]!a}",
)
def test_a_malicious_state_is_refused(box: Sandbox, entries: tuple[FileEntry, ...]) -> None:
    box.write_file("kept", b"1")
    with pytest.raises(SnapshotError):
        box.load(SandboxState(entries, "", {sha256(b"x"): b"x"}))
    assert not Path("/etc/out").exists()
    assert not any(Path(folder, "out").exists() for folder in ("/", "/var/tmp", "/tmp"))


def test_a_state_that_is_larger_than_the_box_is_refused(small_box: Sandbox) -> None:
    blob = bytes(10 * 1024 * 1024)
    files = tuple(FileEntry(f"copy{number}", "file", 0o644, sha256(blob)) for number in range(20))
    with pytest.raises(SnapshotError, match=r"cannot hold|larger than"):
        small_box.load(SandboxState(files, "", {sha256(blob): blob}))
    small_box.load(EMPTY)
    assert small_box.save() == EMPTY


@pytest.mark.parametrize("shell", ["kill -STOP $$"])
@pytest.mark.slow
def test_a_malicious_shell_is_refused(box: Sandbox, shell: str) -> None:
    with pytest.raises(SnapshotError, match="shell"):
        box.load(SandboxState((), shell, {}))
