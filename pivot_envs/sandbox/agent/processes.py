"""Starting, listing, freezing and ending the processes of a box."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import select
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from .box import Box
from .guard import Guard
from .holders import Held, held_inodes, looking_as, other_sockets

_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_LAST_CAPABILITY = 63

_libc = ctypes.CDLL(None, use_errno=True)

ProcessKey = tuple[int, int]
"""Process id and start time in clock ticks, which no later process of the same id shares."""


class Processes:
    """The processes below the agent; the agent reaps every orphan."""

    def __init__(self, box: Box, host_descriptor: int, guard: Guard) -> None:
        """Install the child signal; the end of ``host_descriptor`` ends the box.

        Every program is started under ``guard``.
        """
        self.box = box
        self.guard = guard
        self.exit_statuses: dict[int, int] = {}
        self.own_sockets: set[int] = set()
        """Inode numbers of the agent's Unix sockets."""
        self._watched: dict[int, int] = {}
        """Start times of the programs started here that have not been reaped."""
        self._host = host_descriptor
        self._is_ending = False
        self._wake_read, self._wake_write = os.pipe()
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        if os.getpid() != 1:
            # The first process of a process namespace is beyond such signals, and needs none.
            signal.signal(signal.SIGTERM, lambda *_: self.end_box())

    def spawn(
        self,
        program: str,
        arguments: Sequence[str],
        descriptors: Mapping[int, int],
        *,
        environment: Mapping[str, str],
        directory: str,
        as_agent: bool = False,
    ) -> int:
        """Start a program.

        Args:
            program: Its absolute path.
            arguments: Its name and its arguments.
            descriptors: Descriptor in the program to descriptor here; all others are closed.
            environment: Its whole environment.
            directory: Where it starts.
            as_agent: Keep the agent's user and privileges instead of the commands'.

        Returns:
            Its process id, watched: ``exit_statuses`` gets its wait status.
        """
        pid = os.fork()
        if pid == 0:
            try:
                os.chdir(directory)
                self._limit()
                if not as_agent:
                    self._drop_privileges()
                self.guard.enter()
                _place_descriptors(descriptors)
                os.execve(program, list(arguments), dict(environment))
            finally:
                os._exit(127)
        self._watched[pid] = int(_status_fields(str(pid))[19])
        return pid

    def wait(self, descriptors: Iterable[int], deadline: float | None) -> set[int]:
        """Wait until a descriptor is readable, a child has ended, or the deadline has passed.

        The box ends at once if the host goes away meanwhile.

        Returns:
            The readable descriptors.
        """
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        if not self._is_ending:
            poll.register(self._host, select.POLLRDHUP)
        poll.register(self._wake_read, select.POLLIN)
        wait_ms = None if deadline is None else max(0, (deadline - time.monotonic()) * 1000 + 1)
        ready = {descriptor for descriptor, _ in poll.poll(wait_ms)}
        if self._host in ready:
            self.end_box()
        if self._wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
            self.reap()
        return ready - {self._wake_read}

    def end_box(self) -> NoReturn:
        """End every process and this one."""
        # The kernel ends the rest of a process namespace together with its first process.
        if os.getpid() != 1:
            self.end_all()
        os._exit(0)

    def end_all(self) -> None:
        """End every process below this one, for good."""
        self._is_ending = True
        self.end_all_but(set())

    def reap(self) -> None:
        """Collect every ended child."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._watched.pop(pid, None) is not None:
                self.exit_statuses[pid] = status

    def alive(self) -> set[ProcessKey]:
        """Return (pid, start time) of every process below the agent."""
        self.reap()
        own = os.getpid()
        # What has not been reaped keeps its id, so its start time is known; most often there is
        # nothing else to look at.
        found = {pid: (own, start) for pid, start in self._watched.items()}
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in found and int(name) != own:
                with contextlib.suppress(OSError):
                    found[int(name)] = _parent_and_start(name)
        below: set[ProcessKey] = set()
        for pid, (parent, start) in found.items():
            while parent != own and parent in found:
                parent = found[parent][0]
            if parent == own:
                below.add((pid, start))
        return below

    def end_all_but(self, kept: set[ProcessKey]) -> None:
        """Kill every process below the agent except ``kept``, leaving no time to fork away."""
        deadline = time.monotonic() + 10
        while True:
            doomed = self._freeze() - kept
            for pid, _ in doomed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid, _ in kept:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            self._await_end(doomed, deadline)
            if not (self.alive() - kept) or time.monotonic() > deadline:
                return

    def held_files(self, shell: set[int], idle: set[int], device: int | None) -> Held | None:
        """Return the inodes of all files that processes below the agent hold.

        Args:
            shell: Ids of processes that map no file of the workspace.
            idle: Ids of processes that hold none.
            device: The workspace's file system, or None if open files are of no interest.

        Returns:
            Inode numbers, or None if it can be any.
        """
        self.reap()
        own = {os.getpid(), *idle}

        def pids() -> set[int]:
            if os.getpid() == 1:
                return {int(name) for name in os.listdir("/proc") if name.isdigit()} - own
            return {pid for pid, _ in self.alive()} - own

        if device is None and pids() <= shell:
            return Held(set(), set())
        with looking_as(self.box.command_ids):
            held = held_inodes(pids, shell, device)
        if held is not None and self.box.level == "namespaces" and other_sockets(self.own_sockets):
            return held._replace(may_be_more=True)
        return held

    def key(self, pid: int) -> ProcessKey:
        """Return (pid, start time) of a process.

        Raises:
            OSError: There is no such process.
        """
        self.reap()
        start = self._watched.get(pid)
        return (pid, _parent_and_start(str(pid))[1] if start is None else start)

    def _freeze(self) -> set[ProcessKey]:
        if os.getpid() == 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGSTOP)
            return self.alive()
        stopped: set[ProcessKey] = set()
        while True:
            fresh = self.alive() - stopped
            if not fresh:
                return stopped
            for pid, _ in fresh:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            stopped |= fresh

    def _await_end(self, doomed: set[ProcessKey], deadline: float) -> None:
        while time.monotonic() < deadline:
            self.reap()
            if not doomed & self.alive():
                return
            self.wait((), min(deadline, time.monotonic() + 0.002))

    def _limit(self) -> None:
        box = self.box
        # Where memory runs out for the box as a whole, the agent must be the last to go.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _lower(resource.RLIMIT_AS, box.memory_limit_bytes)
        _lower(resource.RLIMIT_FSIZE, box.max_file_bytes)
        _lower(resource.RLIMIT_NPROC, box.max_processes)
        _lower(resource.RLIMIT_NOFILE, 1024)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.setsid()

    def _drop_privileges(self) -> None:
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        for capability in range(_LAST_CAPABILITY + 1):
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        if self.box.command_ids is not None:
            uid, gid = self.box.command_ids
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)


def exit_code(status: int) -> int:
    """Return the shell's number for a wait status: 128 + signal for a killed process."""
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (bound, bound))


def _place_descriptors(descriptors: Mapping[int, int]) -> None:
    lifted = {
        target: fcntl.fcntl(source, fcntl.F_DUPFD, 512) for target, source in descriptors.items()
    }
    for target, source in lifted.items():
        os.dup2(source, target, inheritable=True)
    start = 3
    for target in sorted(target for target in lifted if target >= 3):
        os.closerange(start, target)
        start = target + 1
    os.closerange(start, 4096)


def _parent_and_start(pid: str) -> tuple[int, int]:
    fields = _status_fields(pid)
    # One that has ended may have left threads behind, which are the process then.
    if fields[0] in (b"Z", b"X") and int(fields[17]) < 2:
        raise ProcessLookupError(f"process {pid} has ended")
    return int(fields[1]), int(fields[19])


def _status_fields(pid: str) -> list[bytes]:
    with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        return file.read().rpartition(b") ")[2].split()
