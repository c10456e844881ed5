"""Shell, the persistent bash of a box: it outlives the process that it runs in."""

from __future__ import annotations

import contextlib
import time

from .bash import (
    QUERY,
    RESTORE,
    RUN,
    RUN_AFTER,
    START_TIMEOUT_S,
    Bash,
    BashError,
    BashExitError,
    BashTimeoutError,
)
from .box import Box
from .output import Output
from .processes import Processes, ProcessKey
from .shell_state import DUMP_COMMANDS, Dump, exit_status_of, localised


class ShellError(Exception):
    """Bash cannot be started or does not answer."""


class Shell:
    """A bash whose state survives commands, and comes back after it had to be ended."""

    def __init__(self, box: Box, processes: Processes) -> None:
        """Prepare; ``start`` starts bash."""
        self._box = box
        self._processes = processes
        self._bash: Bash | None = None
        self._spare: Bash | None = None
        self._baseline: Dump | None = None
        self._state: str | None = ""
        self._last: Dump | None = None
        self._exit_status = 0

    def start(self, state: str = "") -> None:
        """Start bash (ending a running one) and bring back a saved state.

        Raises:
            ShellError: Bash does not come up, or cannot be brought into that state; then a new
                shell is there.
        """
        try:
            self._start(state)
            return
        except BashError:
            # Something may hold every process slot.
            self._processes.end_all_but(set())
        try:
            self._start(state)
        except BashError as error:
            if state:
                self.start()
            raise ShellError(f"the shell cannot be started: {error}") from error

    def prepare(self) -> None:
        """Have a new bash ready for the next start, where commands cannot tamper with it."""
        if self._spare is not None and self._spare.key() is None:
            self._spare.end()
            self._spare = None
        if self._spare is None and self._processes.guard.keeps_apart:
            with contextlib.suppress(BashError, OSError):
                self._spare = Bash(self._box, self._processes)

    def spare_keys(self) -> set[ProcessKey]:
        """Return the process key of the bash that is ready, if there is one."""
        key = None if self._spare is None else self._spare.key()
        return set() if key is None else {key}

    def run(self, command: str, timeout_s: float) -> tuple[int | None, Output]:
        """Run a command.

        After a timeout all processes that it started are killed. Then, or when the command ended
        bash, a new bash gets the state from before the command.

        Returns:
            The exit code, ``None`` after a timeout, and the output.

        Raises:
            ShellError: Bash does not come up.
        """
        before = self.state()
        bash = self._living(before)
        others = self._processes.alive() - {bash.key()}
        output = Output(self._box.max_output_bytes)
        kind = RUN
        if self._exit_status:
            kind = RUN_AFTER
            self._box.runtime_file("status", b"exit %d\n" % self._exit_status)
        try:
            deadline = time.monotonic() + timeout_s
            self._exit_status, _ = bash.request(kind, command, deadline, output)
        except BashTimeoutError:
            self._processes.end_all_but(others)
            bash.drain(output)
            self.start(before)
            return None, output
        except BashExitError as ended:
            bash.drain(output)
            self.start(before)
            self._exit_status = ended.code
        self._state = None
        return self._exit_status, output

    def state(self) -> str:
        """Return bash source that brings this shell's state back; empty for a new shell.

        Raises:
            ShellError: Bash does not come up.
        """
        self.dump()
        return self._state or ""

    def dump(self) -> Dump:
        """Return what bash says about itself; a bash that no longer answers is started anew.

        Raises:
            ShellError: Bash does not come up.
        """
        if self._state is None and self._bash is not None:
            try:
                self._last = _dump(self._bash)
            except BashError:
                # It is beyond speaking, after `set -n` for instance.
                self.start()
        if self._last is None or self._baseline is None:
            raise ShellError("bash has not been started")
        if self._state is None:
            self._state = self._last.source(self._baseline, self._exit_status, self._box)
        return self._last

    def pids(self) -> set[int]:
        """Return the process ids of bash and of the one that is ready."""
        return {bash.pid for bash in (self._bash, self._spare) if bash is not None}

    def note_exit_status(self, code: int) -> None:
        """Record the status of a command that ran outside bash; the next one sees it in ``$?``."""
        self._exit_status = code
        self._state = None

    def surroundings(self, timeout_s: float) -> tuple[dict[str, str], str]:
        """Return the environment and the current folder that bash gives to its commands.

        Raises:
            ShellError: Bash does not answer.
        """
        command = "/bin/cat /proc/self/environ; \\builtin printf '\\0'; \\builtin pwd -P"
        try:
            bash = self._living(self.state())
            _, text = bash.request(QUERY, command, time.monotonic() + timeout_s)
        except BashError as error:
            raise ShellError(str(error)) from error
        raw, _, directory = text.rpartition("\0\0")
        pairs = (item.partition("=") for item in raw.split("\0"))
        return {name: value for name, _, value in pairs}, directory.rstrip("\n")

    def _start(self, state: str) -> None:
        if self._bash is not None:
            self._bash.end()
            self._bash = None
        bash = self._fresh()
        self._bash = bash
        if self._baseline is None:
            self._baseline = _dump(bash)
        self._last = self._baseline
        self._exit_status = exit_status_of(state)
        self._state = state
        if state:
            deadline = time.monotonic() + START_TIMEOUT_S
            bash.request(RESTORE, localised(state, self._box), deadline)
            self._last = _dump(bash)

    def _fresh(self) -> Bash:
        """Return the bash that is ready, or start one."""
        spare, self._spare = self._spare, None
        if spare is not None:
            if spare.is_waiting():
                return spare
            spare.end()
        return Bash(self._box, self._processes)

    def _living(self, state: str) -> Bash:
        if self._bash is None or self._bash.key() is None:
            self.start(state)
        if self._bash is None:
            raise ShellError("bash has not been started")
        return self._bash


def _dump(bash: Bash) -> Dump:
    _, text = bash.request(QUERY, DUMP_COMMANDS, time.monotonic() + START_TIMEOUT_S)
    dump = Dump.parse(text)
    if dump is None:
        raise BashError("bash does not describe itself")
    return dump
