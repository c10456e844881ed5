"""Shell, the persistent bash of a box and its saved state."""

from __future__ import annotations

import contextlib
import os
import secrets
import time

from .box import Box
from .output import Output
from .processes import Processes, ProcessKey, exit_code
from .shell_state import DUMP_COMMANDS, Dump, exit_status_of, localised

_CONTROL = 250
"""Descriptor on which bash reports to the agent; closed in the commands it runs."""

_START_TIMEOUT_S = 10.0


class ShellError(Exception):
    """Bash cannot be started or does not answer."""


class Shell:
    """A bash whose state survives commands, and comes back after it had to be ended."""

    def __init__(self, box: Box, processes: Processes) -> None:
        """Prepare; ``start`` starts bash."""
        self._box = box
        self._processes = processes
        self._pid = 0
        self._input = self._output = self._control = -1
        self._baseline: Dump | None = None
        self._state: str | None = ""
        self._last: Dump | None = None
        self.exit_status = 0

    def start(self, state: str = "") -> None:
        """Start bash (ending a running one) and bring back a saved state.

        Raises:
            ShellError: Bash does not come up.
        """
        self._end()
        self._spawn()
        self.exit_status = exit_status_of(state)
        deadline = time.monotonic() + _START_TIMEOUT_S
        self._send("shopt -s expand_aliases")
        if self._baseline is None:
            self._baseline = self._dump(deadline)
        self._last = self._baseline
        self._state = state
        if state:
            self._eval("state", localised(state, self._box), deadline, quiet=True)
            self._last = self._dump(deadline)

    def run(self, command: str, timeout_s: float) -> tuple[int | None, Output]:
        """Run a command; on timeout all processes it started are killed and bash is started anew.

        Returns:
            The exit code, ``None`` after a timeout, and the output.
        """
        before_state = self.state()
        if self._key() is None:
            self._restart(before_state)
        others = self._processes.alive()
        own = self._key()
        output = Output(self._box.max_output_bytes)
        deadline = time.monotonic() + timeout_s
        self._box.runtime_file("command", _encode(command) + b"\n")
        try:
            self.exit_status = self._eval("", "", deadline, output=output)
        except _TimeoutError:
            self._processes.end_all_but(others - {own})
            output.drain(self._output)
            self._restart(before_state)
            return None, output
        except _ExitError as ended:
            code = ended.code
            output.drain(self._output)
            self._restart(before_state)
            self.exit_status = code
            self._state = None
            return code, output
        self._state = None
        return self.exit_status, output

    def state(self) -> str:
        """Return bash source that brings this shell's state back; empty for a new shell."""
        if self._state is None:
            self.dump()
        return self._state or ""

    def dump(self) -> Dump:
        """Return what bash says about itself; a bash that no longer answers is started anew.

        Raises:
            ShellError: Bash does not come up.
        """
        if self._state is None:
            try:
                self._last = self._dump(time.monotonic() + _START_TIMEOUT_S)
            except ShellError:
                # It is beyond speaking, after `set -n` for instance.
                self.start()
        if self._last is None or self._baseline is None:
            raise ShellError("bash has not been started")
        if self._state is None:
            self._state = self._last.source(self._baseline, self.exit_status, self._box)
        return self._last

    def note_exit_status(self, code: int) -> None:
        """Record the status of a command that ran outside bash; the next one sees it in ``$?``."""
        self.exit_status = code
        self._state = None

    def surroundings(self, deadline: float) -> tuple[dict[str, str], str]:
        """Return the environment and the current folder that bash gives to its commands."""
        command = "/bin/cat /proc/self/environ; \\builtin printf '\\0'; \\builtin pwd -P"
        raw, _, directory = _decode(self._ask(command, deadline)).rpartition("\0\0")
        pairs = (item.partition("=") for item in raw.split("\0"))
        return {name: value for name, _, value in pairs}, directory.rstrip("\n")

    def _key(self) -> ProcessKey | None:
        with contextlib.suppress(OSError):
            return self._processes.key(self._pid)
        return None

    def _restart(self, state: str) -> None:
        try:
            self.start(state)
        except ShellError:
            # Something old may hold every process slot.
            self._processes.end_all_but(set())
            self.start(state)

    def _spawn(self) -> None:
        input_read, self._input = os.pipe()
        self._output, output_write = os.pipe()
        self._control, control_write = os.pipe()
        os.set_blocking(self._output, False)
        os.set_blocking(self._control, False)
        try:
            self._pid = self._processes.spawn(
                ["/bin/bash", "--norc", "--noprofile"],
                {0: input_read, 1: output_write, 2: output_write, _CONTROL: control_write},
                environment=self._box.environment,
                directory=self._box.workspace,
            )
        finally:
            for descriptor in (input_read, output_write, control_write):
                os.close(descriptor)

    def _end(self) -> None:
        key = self._key() if self._pid else None
        if key is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, 9)
        for descriptor in (self._input, self._output, self._control):
            if descriptor >= 0:
                os.close(descriptor)
        self._processes.reap()
        self._processes.exit_statuses.pop(self._pid, None)
        self._pid = 0
        self._input = self._output = self._control = -1

    def _send(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._input, line.encode() + b"\n")

    def _eval(
        self,
        name: str,
        source: str,
        deadline: float,
        *,
        output: Output | None = None,
        quiet: bool = False,
    ) -> int:
        if name:
            self._box.runtime_file(name, _encode(source) + b"\n")
        path = os.path.join(self._box.runtime, name or "command")
        noise = " 2>/dev/null" if quiet else ""
        is_silent = quiet or self._last is None or self._last.notices_failures()
        status = f"(exit {self.exit_status}); " if self.exit_status and not is_silent else ""
        token = secrets.token_hex(8)
        self._send(
            f'{{ \\builtin eval "{status}$(<{path})"; }} </dev/null {_CONTROL}>&-{noise}\n'
            f"{{ \\builtin printf '{token}%d\\n' \"$?\"; }} 2>/dev/null >&{_CONTROL}"
        )
        answer = self._await(token.encode(), b"\n", deadline, output)
        return int(answer)

    def _ask(self, command: str, deadline: float) -> bytes:
        token = secrets.token_hex(8)
        self._send(
            f"{{ {command}; \\builtin printf '{token}\\n'; }} </dev/null 2>/dev/null >&{_CONTROL}"
        )
        return self._await(b"", token.encode() + b"\n", deadline, None)

    def _dump(self, deadline: float) -> Dump:
        path = self._box.runtime_file("dump", DUMP_COMMANDS)
        dump = Dump.parse(_decode(self._ask(f"\\builtin . {path}", deadline)))
        if dump is None:
            raise ShellError("bash does not describe itself")
        return dump

    def _await(self, start: bytes, end: bytes, deadline: float, output: Output | None) -> bytes:
        answer = bytearray()
        sink = Output(0) if output is None else output
        watched = {self._output, self._control}
        while True:
            ready = self._processes.wait(watched, deadline)
            # A descriptor at its end is always readable; bash itself may live on.
            if self._output in ready and sink.drain(self._output, 1024 * 1024):
                watched.discard(self._output)
            if self._control in ready:
                piece = _read_some(self._control)
                answer += piece
                if not piece:
                    watched.discard(self._control)
                if answer.startswith(start) and answer.endswith(end):
                    sink.drain(self._output)
                    return bytes(answer[len(start) : -len(end)])
            status = self._processes.exit_statuses.get(self._pid)
            if status is not None:
                raise _ExitError(exit_code(status))
            if time.monotonic() >= deadline:
                raise _TimeoutError


class _TimeoutError(ShellError):
    pass


class _ExitError(ShellError):
    def __init__(self, code: int) -> None:
        super().__init__(f"bash ended with status {code}")
        self.code = code


def _read_some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
