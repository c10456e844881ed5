"""EmbeddedSandbox, a box made by the kernel's own means; needs no daemon and no image."""

import contextlib
import logging
import os
import socket
import subprocess
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from pivot_envs.errors import SandboxError, SandboxUnavailableError
from pivot_envs.sandbox.agent.frames import Channel
from pivot_envs.sandbox.agent.removal import remove_box
from pivot_envs.sandbox.base import WORKSPACE
from pivot_envs.sandbox.client import AgentSandbox
from pivot_envs.sandbox.folders import make_folder, spare_uid
from pivot_envs.sandbox.forks import let_go_in_children
from pivot_envs.sandbox.layout import (
    AGENT,
    WARM_PROGRAMS,
    Interpreter,
    find_interpreter,
    isolated_paths,
    root_layout,
    shared_paths,
)
from pivot_envs.sandbox.limits import Limits

START_TIMEOUT_S = 30.0

LEVELS = ("namespaces", "landlock", "rlimits")
"""Isolation levels, best first."""

_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from agent.launcher import main; main()"
_MEGABYTE = 1024 * 1024

# Far from the numbers that distributions give to people and services.
_AGENT_UID, _COMMAND_UID = 61183, 61182
_INSIDE_UID = 1000

_logger = logging.getLogger(__name__)


class EmbeddedSandbox(AgentSandbox):
    """A box made by the kernel's own means, in which commands run without privileges.

    Level ``namespaces``: user, mount, pid, network, ipc and uts namespaces of its own. The file
    system has ``/usr``, the running interpreter and its packages read-only, an empty
    ``/workspace`` and ``/tmp`` in memory, and nothing else of the machine; the only network is a
    loopback of its own. Works as root and, where the machine allows unprivileged user namespaces,
    as any user.

    Level ``landlock``, for machines and containers without them (Linux 6.2 or newer): the same
    paths of the machine's own file system, by Landlock; no sockets; the workspace is a folder of
    its own on disk.

    At both, commands have no capabilities and can gain no privileges; a filter refuses the system
    calls that they do not need, and each process is limited in memory, file size and, together, in
    number. Level ``rlimits``, only with ``unsafe=True``: those limits and reliable ends of process
    trees, nothing else.

    What is **not** stopped (``README.md`` beside this file has the tests of what is):

    - Holes in the system calls that are left.
    - The sum of memory: limits are per process and per file system, so ``max_processes`` times
      ``memory_limit_mb`` can be used. Processor time is only bounded by timeouts.
    - Reading ``/usr`` and the Python installation of the machine, with all its packages.
    - Tested code made to fool the very test run that it is part of: what makes every test pass is
      found out, what makes the right ones pass is not.
    - Where the host is no root: signals from commands to the agent's warm interpreter, which has
      the same user then; it is started again.
    - At ``landlock``: filling the disk; seeing which processes run and which files exist; where the
      host is no root, changing modes, times and attributes of the user's files, and, before Linux
      6.12, signals to the user's processes.
    - At ``rlimits``: reading and writing what the user can, and the network.
    """

    def __init__(
        self,
        *,
        memory_limit_mb: int = 1024,
        max_processes: int = 128,
        max_file_mb: int = 64,
        max_output_bytes: int = 20_000,
        unsafe: bool = False,
        level: str | None = None,
        hidden_packages: Sequence[str] = (),
    ) -> None:
        """Prepare a box; nothing is started before ``start``.

        Args:
            memory_limit_mb: Address space of each process, and room in the workspace.
            max_processes: Most processes and threads that commands may have at a time.
            max_file_mb: Largest file that a command can write.
            max_output_bytes: Output kept of a command; the middle of more is left out.
            unsafe: Accept running commands without isolation where none can be had.
            level: The only level to try; by default the best that the machine allows is taken.
            hidden_packages: Import names of packages, such as the one under repair, of which the
                box shows no installed copy; pytest's own are shown all the same.

        Raises:
            ValueError: A limit is below 1, or there is no such level.
        """
        super().__init__(
            Limits(
                memory_bytes=memory_limit_mb * _MEGABYTE,
                processes=max_processes,
                file_bytes=max_file_mb * _MEGABYTE,
                output_bytes=max_output_bytes,
            )
        )
        if level is not None and level not in LEVELS:
            raise ValueError(f"level must be None or one of {LEVELS}, got {level!r}")
        self._unsafe = unsafe
        self._hidden_packages = tuple(sorted(hidden_packages))
        self._levels = LEVELS if level is None else (level,)
        self._finalizer: weakref.finalize[..., EmbeddedSandbox] | None = None

    def _check_limits(self, limits: Limits) -> None:
        if limits.network != "none" or limits.cpus is not None:
            raise ValueError(
                "an embedded box has no network and does not limit processor time, got the limits "
                f"network={limits.network!r} and cpus={limits.cpus}; use sandbox='docker'"
            )

    def _open(self) -> tuple[Channel, str]:
        interpreter = self._interpreter()
        tried: list[str] = []
        for level in self._levels:
            if level == "rlimits" and not self._unsafe:
                tried.append("rlimits: it isolates nothing and needs unsafe=True")
                continue
            try:
                channel = self._launch(level, interpreter)
            except SandboxUnavailableError as error:
                tried.append(f"{level}: {error}")
                continue
            _logger.info("a box started at level %s (%s)", level, "; ".join(tried) or "the best")
            return channel, level
        raise SandboxUnavailableError(
            f"no isolation level works here ({'; '.join(tried)}). Allow unprivileged user "
            "namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
            "kernel.apparmor_restrict_unprivileged_userns), run as root, use Linux 6.2 or newer "
            "with Landlock, or pass unsafe=True to run commands without isolation"
        )

    def _interpreter(self) -> Interpreter:
        """Return the Python that commands and test runs use."""
        return find_interpreter()

    def _shut(self) -> None:
        if self._finalizer is not None:
            self._finalizer()

    def let_go(self) -> None:
        """Leave the box to the process that this one was forked from."""
        found = None if self._finalizer is None else self._finalizer.detach()
        if found is not None:
            os.close(found[2][1].detach())

    def _launch(self, level: str, interpreter: Interpreter) -> Channel:
        if level == "namespaces":
            config = self._isolated_config(interpreter)
        else:
            config = self._shared_config(level, interpreter)
        folder = str(config["folder"])
        ours, theirs = socket.socketpair()
        arguments = [interpreter.base, "-I", "-S", "-c", _PROGRAM, str(AGENT.parent)]
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
        let_go_in_children(self)
        try:
            channel.send(config, [(AGENT / name).read_bytes() for name in WARM_PROGRAMS])
            answer, _ = channel.receive(START_TIMEOUT_S)
        except (EOFError, OSError, ValueError) as error:
            self._shut()
            raise SandboxError(f"the box did not start: {error!r}") from error
        if "error" in answer:
            self._shut()
            kind = SandboxUnavailableError if answer["kind"] == "unavailable" else SandboxError
            raise kind(str(answer["error"]))
        return channel

    def _layout(self, interpreter: Interpreter) -> Mapping[str, Any]:
        memory = self._limits.memory_bytes
        return root_layout(interpreter, _INSIDE_UID, memory, self._hidden_packages)

    def _isolated_config(self, interpreter: Interpreter) -> Mapping[str, Any]:
        """Return what the agent is told at level ``namespaces``."""
        is_root = os.geteuid() == 0
        layout = self._layout(interpreter)
        return {
            "programs": WARM_PROGRAMS,
            "folder": "",
            "layout": layout,
            "paths": isolated_paths(),
            "agent": (0, _AGENT_UID) if is_root else (_INSIDE_UID, os.geteuid()),
            "command": (_INSIDE_UID, _COMMAND_UID) if is_root else None,
            "box": {
                **self._box_values("namespaces", interpreter, "/tmp", layout),
                "workspace": WORKSPACE,
                "runtime": "/run/agent",
                "command_ids": (_INSIDE_UID, _INSIDE_UID) if is_root else None,
            },
        }

    def _shared_config(self, level: str, interpreter: Interpreter) -> Mapping[str, Any]:
        """Return what the agent is told at the levels that share the machine's file system.

        Raises:
            SandboxUnavailableError: There is no place for the box, or commands could not reach
                the interpreter.
        """
        is_root = os.geteuid() == 0
        if is_root and not interpreter.is_open_to_all():
            raise SandboxUnavailableError(
                f"as root, commands run as an unprivileged user, who cannot reach "
                f"{interpreter.base}: install Python where every user can read it"
            )
        uid = spare_uid() if is_root else None
        folder = make_folder(uid)
        layout = self._layout(interpreter)
        return {
            "programs": WARM_PROGRAMS,
            "folder": folder,
            "paths": shared_paths(layout, folder) if level == "landlock" else None,
            "box": {
                **self._box_values(level, interpreter, f"{folder}/tmp", layout),
                "workspace": f"{folder}{WORKSPACE}",
                "runtime": f"{folder}/run",
                "command_ids": None if uid is None else (uid, uid),
            },
        }

    def _box_values(
        self, level: str, interpreter: Interpreter, scratch: str, layout: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        return {
            "level": level,
            "scratch": scratch,
            "environment": interpreter.environment(scratch),
            "python": interpreter.python,
            "memory_limit_bytes": self._limits.memory_bytes,
            "max_processes": self._limits.processes,
            "max_file_bytes": self._limits.file_bytes,
            "max_output_bytes": self._limits.output_bytes,
            "kept_paths": layout["read_only"],
        }


def _end(process: subprocess.Popen[bytes], sock: socket.socket, folder: str) -> None:
    """End a box: its agent stops at the closed socket, and takes everything with it."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
    for stop in (process.terminate, process.kill):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5.0)
            break
        stop()
    process.wait()
    if folder:
        remove_box(folder)
