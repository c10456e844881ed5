"""Bash, one bash process that evaluates what the agent asks it to."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time

from .box import Box
from .output import Output
from .processes import Processes, ProcessKey, exit_code

START_TIMEOUT_S = 10.0

_CONTROL = 250
"""Descriptor on which bash reports to the agent; closed in the commands it runs."""

RUN, RUN_AFTER, QUERY, RESTORE = "run", "after", "query", "restore"
"""Requests, and the files in the runtime folder that bash evaluates for them.

The output of ``RUN`` is the command's, that of ``QUERY`` goes to the agent, ``RESTORE`` has none.
``RUN_AFTER`` is a ``RUN`` that begins with the exit status in the file ``status``.
"""

# All of it is one line of an argument, so that the line numbers in bash's messages depend on the
# command alone, and a syntax error in one command cannot reach the next. The loop has a loop
# around it because `break` in a command leaves the inner one; each round begins with the report on
# the last request.
_DRIVER = (
    "\\builtin shopt -s expand_aliases; "
    "while :; do "
    'while {{ \\builtin printf "%d %s\\n" "$?" "${{__request-}}" >&{control}; '
    "IFS= \\builtin read -r __request; }} 2>/dev/null; do "
    "if {{ [[ $__request == run* ]]; }} 2>/dev/null; then "
    '{{ \\builtin eval "$(<{folder}/run)"; }} </dev/null {control}>&-; '
    "elif {{ [[ $__request == after* ]]; }} 2>/dev/null; then "
    '{{ \\builtin eval "$(<{folder}/after)$(\\builtin . {folder}/status)"; }} '
    "</dev/null {control}>&-; "
    "elif {{ [[ $__request == query* ]]; }} 2>/dev/null; then "
    '{{ \\builtin eval "$(<{folder}/query)"; }} </dev/null 2>/dev/null >&{control}; '
    "else "
    '{{ \\builtin eval "$(<{folder}/restore)"; }} </dev/null >/dev/null 2>&1 {control}>&-; '
    "fi; done; done"
)


MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Most that bash may say about itself; one with larger variables is ended, and forgets them."""


class BashError(Exception):
    """Bash does not do what it was asked."""


class BashTimeoutError(BashError):
    """Bash did not answer in time."""


class BashExitError(BashError):
    """Bash ended."""

    def __init__(self, code: int) -> None:
        """Record its exit code."""
        super().__init__(f"bash ended with status {code}")
        self.code = code


class Bash:
    """A running bash."""

    def __init__(self, box: Box, processes: Processes) -> None:
        """Start it.

        Raises:
            BashError: It does not come up.
        """
        self._box = box
        self._processes = processes
        input_read, self._input = os.pipe()
        self._output, output_write = os.pipe()
        self._control, control_write = os.pipe()
        os.set_blocking(self._output, False)
        os.set_blocking(self._control, False)
        driver = _DRIVER.format(control=_CONTROL, folder=box.runtime)
        try:
            self.pid = processes.spawn(
                "/bin/bash",
                ["bash", "--norc", "--noprofile", "-c", driver],
                {0: input_read, 1: output_write, 2: output_write, _CONTROL: control_write},
                environment=box.environment,
                directory=box.workspace,
            )
        except OSError as error:
            for descriptor in (self._input, self._output, self._control):
                os.close(descriptor)
            raise BashError(f"bash cannot be started: {error}") from error
        finally:
            for descriptor in (input_read, output_write, control_write):
                os.close(descriptor)
        try:
            self._await("", time.monotonic() + START_TIMEOUT_S, Output(0))
        except BashError:
            self.end()
            raise

    def key(self) -> ProcessKey | None:
        """Return the process key, or ``None`` when it has ended."""
        with contextlib.suppress(OSError):
            return self._processes.key(self.pid)
        return None

    def is_waiting(self) -> bool:
        """Tell whether it lives and nothing was said or asked since it was started."""
        if self.key() is None:
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGCONT)
        return not any(self._processes.wait({self._output, self._control}, time.monotonic()))

    def request(
        self, kind: str, source: str, deadline: float, output: Output | None = None
    ) -> tuple[int, str]:
        """Have a source evaluated.

        Args:
            kind: One of the requests above.
            source: What to evaluate.
            deadline: When to give up, on the monotonic clock.
            output: Takes what commands print meanwhile.

        Returns:
            The exit status, and what a query printed.

        Raises:
            BashTimeoutError: The deadline has passed; bash is still busy.
            BashExitError: Bash ended.
        """
        self._box.runtime_file(kind, source.encode("utf-8", "surrogateescape") + b"\n")
        request = f"{kind}-{secrets.token_hex(3)}"
        with contextlib.suppress(BrokenPipeError):
            os.write(self._input, request.encode() + b"\n")
        return self._await(request, deadline, Output(0) if output is None else output)

    def drain(self, output: Output) -> None:
        """Take what was printed and not read so far."""
        output.drain(self._output)

    def end(self) -> None:
        """Kill it, unless it has ended, and forget it."""
        if self.key() is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 9)
        for descriptor in (self._input, self._output, self._control):
            os.close(descriptor)
        self._processes.reap()
        self._processes.exit_statuses.pop(self.pid, None)

    def _await(self, request: str, deadline: float, output: Output) -> tuple[int, str]:
        ending = f" {request}\n".encode()
        answer = bytearray()
        watched = {self._output, self._control}
        while True:
            ready = self._processes.wait(watched, deadline)
            # A descriptor at its end is always readable; bash itself may live on.
            if self._output in ready and output.drain(self._output, 1024 * 1024):
                watched.discard(self._output)
            if self._control in ready:
                piece = _read_some(self._control)
                answer += piece
                if len(answer) > MAX_ANSWER_BYTES:
                    raise BashError("bash says too much about itself")
                if not piece:
                    watched.discard(self._control)
                if answer.endswith(ending):
                    output.drain(self._output)
                    told = bytes(answer[: -len(ending)])
                    content = told.rstrip(b"0123456789")
                    status = int(told[len(content) :])
                    return status, content.decode("utf-8", "surrogateescape")
            ended = self._processes.exit_statuses.get(self.pid)
            if ended is not None:
                raise BashExitError(exit_code(ended))
            if time.monotonic() >= deadline:
                raise BashTimeoutError("bash did not answer in time")


def _read_some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""
