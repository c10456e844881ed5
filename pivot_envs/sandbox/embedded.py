"""EmbeddedSandbox, a box made of Linux namespaces; needs no daemon and no image."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pivot_envs.errors import SandboxError, SandboxUnavailableError
from pivot_envs.sandbox.agent.frames import Channel
from pivot_envs.sandbox.base import WORKSPACE
from pivot_envs.sandbox.client import AgentSandbox
from pivot_envs.sandbox.layout import Interpreter, find_interpreter, root_layout
from pivot_envs.sandbox.limits import Limits

START_TIMEOUT_S = 30.0

_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from agent.launcher import main; main()"
_FOLDER = Path(__file__).parent
_MEGABYTE = 1024 * 1024
_PROGRAMS = ("warm.py", "code_cache.py")

# Far from the numbers that distributions give to people and services.
_AGENT_UID, _COMMAND_UID = 61183, 61182
_INSIDE_UID = 1000


class EmbeddedSandbox(AgentSandbox):
    """A box of Linux namespaces in which commands run as an unprivileged user.

    Level ``namespaces``: user, mount, pid, network, ipc and uts namespaces of its own. The file
    system has ``/usr``, the running interpreter and its packages read-only, an empty
    ``/workspace`` and ``/tmp`` in memory, and nothing else of the machine; the only network is a
    loopback of its own. Commands cannot gain privileges, have no capabilities, and each process
    is limited in memory, file size and, together, in number. Works as root and, where the machine
    allows unprivileged user namespaces, as any user.

    Level ``rlimits``, only with ``unsafe=True`` where namespaces cannot be had: a folder of its
    own, limits for each process, and reliable ends of process trees. Nothing else is held back.

    What is **not** stopped:

    - A hole in the kernel: all system calls are open, there is no seccomp filter.
    - The sum of memory: limits are per process and per file system, so ``max_processes`` times
      ``memory_limit_mb`` can be used. Processor time is only bounded by timeouts.
    - Reading ``/usr`` and the Python installation of the machine, with all its packages.
    - New namespaces inside the box, where the machine lets any user make them.
    - Where the host is no root: signals from commands to the agent's warm interpreter, which has
      the same user then; it is started again.
    - Tested code that tampers with the test run it is part of, from inside the same process.
    - At level ``rlimits``: reading and writing what the user can, and the network.
    """

    levels: ClassVar[tuple[str, ...]] = ("namespaces", "rlimits")
    """Isolation levels to try, best first."""

    def __init__(
        self,
        *,
        memory_limit_mb: int = 1024,
        max_processes: int = 128,
        max_file_mb: int = 64,
        max_output_bytes: int = 20_000,
        unsafe: bool = False,
    ) -> None:
        """Prepare a box; nothing is started before ``start``.

        Args:
            memory_limit_mb: Address space of each process, and room in the workspace.
            max_processes: Most processes and threads that commands may have at a time.
            max_file_mb: Largest file that a command can write.
            max_output_bytes: Output kept of a command; the middle of more is left out.
            unsafe: Accept running commands without isolation where none can be had.

        Raises:
            ValueError: A limit is below 1.
        """
        super().__init__(
            Limits(
                memory_bytes=memory_limit_mb * _MEGABYTE,
                processes=max_processes,
                file_bytes=max_file_mb * _MEGABYTE,
                output_bytes=max_output_bytes,
            )
        )
        self._unsafe = unsafe
        self._finalizer: weakref.finalize[..., EmbeddedSandbox] | None = None

    def _check_limits(self, limits: Limits) -> None:
        if limits.network != "none" or limits.cpus is not None:
            raise ValueError(
                "an embedded box has no network and does not limit processor time, got the limits "
                f"network={limits.network!r} and cpus={limits.cpus}; use sandbox='docker'"
            )

    def _open(self) -> tuple[Channel, str]:
        interpreter = find_interpreter()
        tried: list[str] = []
        for level in self.levels:
            if level == "rlimits" and not self._unsafe:
                continue
            try:
                return self._launch(level, interpreter), level
            except SandboxUnavailableError as error:
                tried.append(f"{level}: {error}")
        raise SandboxUnavailableError(
            f"no isolation level works here ({'; '.join(tried)}). Allow unprivileged user "
            "namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
            "kernel.apparmor_restrict_unprivileged_userns), run as root, or pass unsafe=True to "
            "run commands without isolation"
        )

    def _shut(self) -> None:
        if self._finalizer is not None:
            self._finalizer()

    def _launch(self, level: str, interpreter: Interpreter) -> Channel:
        folder = _make_folders(interpreter) if level == "rlimits" else ""
        config = self._config(level, interpreter, folder)
        ours, theirs = socket.socketpair()
        arguments = [interpreter.base, "-I", "-S", "-c", _PROGRAM, str(_FOLDER)]
        with theirs:
            process = subprocess.Popen(
                [*arguments, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env={"LC_ALL": "C.UTF-8"},
            )
        channel = Channel(ours)
        self._finalizer = weakref.finalize(self, _end, process, ours, folder)
        try:
            channel.send(config, [(_FOLDER / "agent" / name).read_bytes() for name in _PROGRAMS])
            answer, _ = channel.receive(START_TIMEOUT_S)
        except (EOFError, OSError, ValueError) as error:
            self._shut()
            raise SandboxError(f"the box did not start: {error!r}") from error
        if "error" in answer:
            self._shut()
            kind = SandboxUnavailableError if answer["kind"] == "unavailable" else SandboxError
            raise kind(str(answer["error"]))
        return channel

    def _config(self, level: str, interpreter: Interpreter, folder: str) -> Mapping[str, Any]:
        isolated = level == "namespaces"
        is_root = os.geteuid() == 0
        scratch = f"{folder}/tmp" if folder else "/tmp"
        inside = _INSIDE_UID if isolated else _COMMAND_UID
        layout = root_layout(interpreter, _INSIDE_UID, self._limits.memory_bytes)
        return {
            "programs": _PROGRAMS,
            "layout": layout,
            "agent": (0, _AGENT_UID) if is_root else (_INSIDE_UID, os.geteuid()),
            "command": (_INSIDE_UID, _COMMAND_UID) if is_root else None,
            "box": {
                "level": level,
                "workspace": f"{folder}{WORKSPACE}",
                "scratch": scratch,
                "runtime": f"{folder}/run" if folder else "/run/agent",
                "command_ids": (inside, inside) if is_root else None,
                "environment": interpreter.environment(scratch),
                "python": interpreter.python,
                "memory_limit_bytes": self._limits.memory_bytes,
                "max_processes": self._limits.processes,
                "max_file_bytes": self._limits.file_bytes,
                "max_output_bytes": self._limits.output_bytes,
                "kept_paths": layout["read_only"],
            },
        }


def _make_folders(interpreter: Interpreter) -> str:
    """Return a new folder with the parts of a box that has no mounts.

    Raises:
        SandboxUnavailableError: Commands could not reach the interpreter.
    """
    is_root = os.geteuid() == 0
    if is_root and not interpreter.is_open_to_all():
        raise SandboxUnavailableError(
            f"as root, commands run as an unprivileged user, who cannot reach {interpreter.base}"
        )
    folder = Path(tempfile.mkdtemp(prefix="pivot-"))
    folder.chmod(0o755)
    for name in ("tmp", "workspace", "run"):
        (folder / name).mkdir()
        if is_root and name != "run":
            os.chown(folder / name, _COMMAND_UID, _COMMAND_UID)
    return str(folder)


def _end(process: subprocess.Popen[bytes], sock: socket.socket, folder: str) -> None:
    """End a box: its agent stops at the closed socket, and takes everything with it."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
    try:
        process.wait(5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
