"""Commands that reach for the agent which runs them: each is stopped, and the box goes on."""

import os
import shlex
from collections.abc import Callable, Iterator

import pytest

from pivot_envs.sandbox.base import FileEntry, Sandbox, SandboxState
from pivot_envs.snapshot import sha256

PTRACE = (
    "import ctypes, sys; libc = ctypes.CDLL(None, use_errno=True); "
    "print(libc.ptrace(16, int(sys.argv[1]), 0, 0), ctypes.get_errno())"
)
READ_MEMORY = (
    "import ctypes, sys; libc = ctypes.CDLL(None, use_errno=True); "
    "b = (ctypes.c_size_t * 2)(1, 1); "
    "print(libc.process_vm_readv(int(sys.argv[1]), b, 1, b, 1, 0), ctypes.get_errno())"
)
TAKE_DESCRIPTOR = (
    "import ctypes, os, sys; libc = ctypes.CDLL(None, use_errno=True); "
    "print(libc.syscall(438, os.pidfd_open(int(sys.argv[1])), 0, 0), ctypes.get_errno())"
)


STEERS_WARM_UP = r"""
cat > $TMPDIR/conftest.py <<'END'
import os, sys
if "warm.py" in " ".join(sys.orig_argv): open(os.environ["TMPDIR"] + "/steered", "w").close()
END
printf '[pytest]\naddopts = -p conftest\npythonpath = .\n' > $TMPDIR/pytest.ini
packages=$(python -m site --user-site); mkdir -p $packages; cp $TMPDIR/conftest.py $packages
echo import conftest > $packages/steer.pth
"""
FLOOD = (
    b"import contextlib, os\n\ndef test_flood():\n"
    b"    for descriptor in range(3, 1024):\n"
    b"        with contextlib.suppress(OSError): os.write(descriptor, b'[' * 60000)\n"
)


@pytest.fixture(autouse=True)
def _goes_on(box: Sandbox) -> Iterator[None]:
    """Whatever a test did, the box answers afterwards, and saves and loads what it should."""
    yield
    assert box.run("echo alive", timeout_s=10).output == "alive\n"
    blob = b"content"
    entry = FileEntry("file", "file", 0o644, sha256(blob))
    state = SandboxState((entry,), "", {sha256(blob): blob})
    box.load(state)
    assert box.save() == state
    assert box.run_tests(["file"], timeout_s=30).outcomes == {}


def agents(box: Sandbox) -> list[str]:
    """Return the ids of the agent and of its warm interpreter, as the box shows them."""
    find = "until pgrep -P $PPID -f warm.py; do sleep 0.1; done; echo $PPID"
    return box.run(find, timeout_s=20).output.split()


@pytest.mark.parametrize(
    "command",
    [
        "readlink /proc/{}/fd/0",
        "cat /proc/{}/environ",
        "head -c 1 /proc/{}/mem",
        "cat /proc/{}/maps",
        "cat /proc/{}/stack",
        "ls /proc/{}/root/",
        "ls /proc/{}/cwd/",
        "cat /proc/{}/io",
        "echo 1000 > /proc/{}/oom_score_adj",
        "kill -9 {}",
        "kill -STOP {}",
        "kill -TERM {}",
        "prlimit --nofile=1:1 --pid {}",
    ],
)
def test_the_agents_process_is_closed(box: Sandbox, level: str, command: str) -> None:
    ids = agents(box)
    assert len(ids) == 2
    # Where the host is no root, commands have the same user as the agent. The first process of a
    # namespace does not mind their signals, and the warm interpreter is started again.
    is_heard = os.geteuid() != 0 and level == "namespaces" and command.startswith("kill")
    for pid in ids:
        result = box.run(command.replace("{}", pid), timeout_s=10)
        assert is_heard or result.exit_code not in (0, None), result


@pytest.mark.parametrize("source", [PTRACE, READ_MEMORY, TAKE_DESCRIPTOR])
def test_the_agents_memory_and_descriptors_are_refused_by_the_filter(
    box: Sandbox, source: str
) -> None:
    for pid in agents(box):
        words = shlex.join(["python", "-I", "-S", "-c", source, pid])
        assert box.run(words, timeout_s=10).output == "-1 1\n"


def test_commands_inherit_no_descriptor_of_the_agent(box: Sandbox) -> None:
    listing = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
    assert box.run(f'python -c "{listing}"', timeout_s=10).output == "[0, 1, 2]\n"
    box.write_file(
        "test_a.py",
        b"import os\n\ndef test_a():\n"
        b"    kinds = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')\n"
        b"             if os.path.lexists(f'/proc/self/fd/{n}')]\n"
        b"    assert not [kind for kind in kinds if kind.startswith('socket')]\n",
    )
    assert set(box.run_tests(["test_a.py"], timeout_s=30).outcomes.values()) == {"passed"}


def test_the_environment_holds_nothing_of_the_host(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "known only outside")
    box.close()
    box.start()
    assert "known" not in box.run("env; cat /proc/*/environ", timeout_s=10).output


@pytest.mark.parametrize(
    "command", ["kill -9 -1", "kill -STOP -1", "kill -9 1", "pkill -9 -U $(id -u)", "kill -9 0"]
)
def test_killing_everything_kills_only_commands(box: Sandbox, command: str) -> None:
    box.run("echo kept > file; X=1", timeout_s=5)
    box.run(command, timeout_s=1)
    assert box.read_file("file") == b"kept\n"
    assert box.run("echo $((1 + 1))", timeout_s=10).output == "2\n"


def test_the_agents_folder_is_not_written(box: Sandbox) -> None:
    folder = box.run("ls -d /run/agent $PWD/../run 2>/dev/null", timeout_s=5).output.split()[0]
    real = "/run/agent" if folder == "/run/agent" else "$PWD/../run"
    for command in ("touch {}/x", "rm {}/run", "echo x > {}/warm.py", "mv {} {}.old"):
        result = box.run(command.replace("{}", f'"{real}"'), timeout_s=5)
        assert result.exit_code not in (0, None), result


@pytest.mark.parametrize("path", ["/dev/zero", "pipe", "/proc/self/mem", "."])
def test_a_test_run_does_not_hang_the_next_one(box: Sandbox, path: str) -> None:
    box.run("mkfifo pipe", timeout_s=5)
    box.write_file("test_b.py", b"def test_b(): pass\n")
    box.write_file(
        "test_a.py",
        b"import os\nfrom _pytest.assertion import rewrite\n\ndef test_a():\n"
        b"    (cell,) = rewrite._rewrite_test.__closure__\n"
        b"    cell.cell_contents.missed.append(('plain', os.path.abspath('%s')))\n" % path.encode(),
    )
    for name in ("test_a", "test_b"):
        outcomes = box.run_tests([f"{name}.py"], timeout_s=20).outcomes
        assert outcomes == {f"{name}.py::{name}": "passed"}


def test_what_lies_in_the_scratch_folder_does_not_steer_the_warm_interpreter(
    make_box: Callable[[], Sandbox],
) -> None:
    with make_box() as fresh:
        fresh.run(STEERS_WARM_UP, timeout_s=10)
        fresh.write_file("test_a.py", b"def test_a(): pass\n")
        outcomes = fresh.run_tests(["test_a.py"], timeout_s=30).outcomes
        assert outcomes == {"test_a.py::test_a": "passed"}
        assert fresh.run("ls $TMPDIR/steered", timeout_s=5).exit_code == 2


def test_a_test_run_does_not_crash_the_warm_interpreter(box: Sandbox) -> None:
    warm = agents(box)
    box.write_file("test_flood.py", FLOOD)
    for _ in range(2):
        assert box.run_tests(["test_flood.py"], timeout_s=20).outcomes == {}
    assert agents(box) == warm


@pytest.mark.slow
def test_a_replaced_bash_function_does_not_steer_the_agent(box: Sandbox) -> None:
    box.run("builtin() { :; }; declare() { :; }; printf() { :; }; read() { :; }; X=1", timeout_s=5)
    box.run("enable -n printf read builtin declare eval; exec 250>&-; exec 2>&-", timeout_s=5)
    box.run("trap 'exit 3' DEBUG; set -e; false", timeout_s=5)
    box.load(SandboxState((), "", {}))
    assert box.run("echo $((1 + 1))", timeout_s=10).output == "2\n"


def test_a_huge_variable_costs_the_shell_its_state_and_nothing_else(box: Sandbox) -> None:
    box.run("echo kept > file", timeout_s=5)
    box.run("X=$(head -c 40000000 /dev/zero | tr '\\0' a)", timeout_s=20)
    assert box.run("echo ${#X}; cat file", timeout_s=20).output == "0\nkept\n"
    assert len(box.save().shell) < 1000
