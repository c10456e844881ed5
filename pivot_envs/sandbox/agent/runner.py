"""Runner, the agent's side of the warm interpreter that pytest runs are forked from."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .box import Box
from .output import Output
from .processes import Processes, ProcessKey, exit_code

USAGE_ERROR = 4
"""pytest's exit code when a named test does not exist; it then runs none."""

_TEST_OPTIONS = (
    "-q",
    "--tb=short",
    "--color=no",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore::DeprecationWarning",
    "-W",
    "ignore::PendingDeprecationWarning",
    "-W",
    "ignore::SyntaxWarning",
    "-o",
    "addopts=",
    "--continue-on-collection-errors",
)


class RunnerError(Exception):
    """No warm interpreter can be had."""


class Runner:
    """Runs pytest in forks of an interpreter that imported it once."""

    def __init__(self, box: Box, processes: Processes, programs: Mapping[str, bytes]) -> None:
        """Prepare; ``programs`` are the files of the interpreter's program, by name."""
        self._box = box
        self._processes = processes
        self._programs = programs
        self._pid = 0
        self._socket: socket.socket | None = None
        self._is_ready = False

    def start(self) -> None:
        """Start the interpreter in the background, unless it runs or there is none."""
        if self._socket is not None or not self._box.python:
            return
        for name, content in self._programs.items():
            self._box.runtime_file(name, content)
        path = os.path.join(self._box.runtime, "warm.py")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._processes.own_sockets = {os.fstat(end.fileno()).st_ino for end in (ours, theirs)}
        ids = self._box.command_ids
        null = os.open(os.devnull, os.O_RDWR)
        try:
            self._pid = self._processes.spawn(
                self._box.python,
                [
                    self._box.python,
                    # Packages in HOME would be the commands' own.
                    "-s",
                    path,
                    "3",
                    "-" if ids is None else f"{ids[0]},{ids[1]}",
                ],
                {0: null, 1: null, 2: null, 3: theirs.fileno()},
                environment=self._box.environment,
                directory="/",
                as_agent=True,
            )
        finally:
            os.close(null)
            theirs.close()
        self._socket = ours
        self._is_ready = False

    def key(self) -> ProcessKey | None:
        """Return the interpreter's process key, or ``None`` when it does not run."""
        with contextlib.suppress(OSError):
            return self._processes.key(self._pid)
        return None

    def pid(self) -> int:
        """Return the interpreter's process id, 0 when it was not started."""
        return self._pid

    def run(self, request: Mapping[str, Any], timeout_s: float) -> tuple[int | None, Output]:
        """Run pytest as a command; see ``warm.run_child`` for the request.

        Returns:
            The exit code, ``None`` after a timeout, and the output.

        Raises:
            RunnerError: The interpreter does not start.
        """
        code, output, _ = self._fork(
            {**request, "nonce": "", "canary": "", "wanted": None}, timeout_s
        )
        return code, output

    def run_tests(
        self, test_ids: Sequence[str], options: Sequence[str], timeout_s: float
    ) -> tuple[dict[str, str], bool, Output]:
        """Run named tests; return outcomes by test id, whether time ran out, and the output.

        Raises:
            RunnerError: The interpreter does not start.
        """
        started = time.monotonic()
        code, output, outcomes = self._attempt(test_ids, None, options, timeout_s)
        if code == USAGE_ERROR and not outcomes:
            files = list(dict.fromkeys(name.partition("::")[0] for name in test_ids))
            files = [name for name in files if os.path.exists(os.path.join(self._workspace, name))]
            left_s = timeout_s - (time.monotonic() - started)
            if files and left_s > 0:
                code, output, outcomes = self._attempt(files, test_ids, options, left_s)
        return outcomes, code is None, output

    @property
    def _workspace(self) -> str:
        return self._box.workspace

    def _attempt(
        self,
        names: Sequence[str],
        wanted: Sequence[str] | None,
        options: Sequence[str],
        timeout_s: float,
    ) -> tuple[int | None, Output, dict[str, str]]:
        rootdir = f"--rootdir={self._workspace}"
        basetemp = f"--basetemp={os.path.join(self._box.scratch, 'pytest-of-tests')}"
        arguments = [*_TEST_OPTIONS, rootdir, basetemp, *options, *names]
        before = self._processes.alive()
        try:
            return self._fork(
                {
                    "arguments": arguments,
                    "script": "",
                    "path": self._workspace,
                    "directory": self._workspace,
                    "environment": dict(self._box.environment),
                    "umask": 0o022,
                    "nonce": secrets.token_hex(16),
                    "canary": secrets.token_hex(16),
                    "wanted": None if wanted is None else list(wanted),
                },
                timeout_s,
            )
        finally:
            self._end_leftovers(before)

    def _end_leftovers(self, before: set[ProcessKey]) -> None:
        key = self.key()
        kept = before if key is None else before | {key}
        if self._processes.alive() - kept:
            self._processes.end_all_but(kept)

    def _fork(
        self, request: Mapping[str, Any], timeout_s: float
    ) -> tuple[int | None, Output, dict[str, str]]:
        deadline = time.monotonic() + timeout_s
        self._await_ready(deadline)
        before = self._processes.alive()
        output = Output(self._box.max_output_bytes)
        report = _Report(request["nonce"], request["canary"])
        out_read, out_write = os.pipe()
        report_read, report_write = os.pipe()
        for descriptor in (out_read, report_read):
            os.set_blocking(descriptor, False)
        try:
            self._send(request, (out_write, report_write))
            code = self._await_end({out_read: output, report_read: report}, deadline)
            if code is None:
                self._processes.end_all_but(before)
                self._collect_status()
            output.drain(out_read)
            report.drain(report_read)
        finally:
            os.close(out_read)
            os.close(report_read)
        return code, output, report.outcomes()

    def _send(self, request: Mapping[str, Any], writers: tuple[int, int]) -> None:
        assert self._socket is not None
        content = os.memfd_create("request")
        null = os.open(os.devnull, os.O_RDONLY)
        try:
            with open(content, "wb", closefd=False) as file:
                file.write(json.dumps(request).encode("ascii"))
            os.lseek(content, 0, os.SEEK_SET)
            with contextlib.suppress(OSError):
                socket.send_fds(self._socket, [b"run"], [content, null, *writers])
        finally:
            for descriptor in (content, null, *writers):
                os.close(descriptor)

    def _await_ready(self, deadline: float) -> None:
        if not self._box.python:
            raise RunnerError("the box's image has no Python 3.9 or newer, which test runs need")
        for _ in range(2):
            self.start()
            if self._is_ready and self.key() is not None:
                return
            answer = self._receive(deadline)
            if answer is not None and answer.get("ready"):
                self._is_ready = True
                return
            self._stop()
            if answer is not None:
                raise RunnerError(str(answer.get("failed", "pytest cannot be imported")))
        raise RunnerError("the warm interpreter did not start in time")

    def _await_end(self, sinks: Mapping[int, Output], deadline: float) -> int | None:
        assert self._socket is not None
        watched = {self._socket.fileno(), *sinks}
        while True:
            ready = self._processes.wait(watched, deadline)
            for descriptor, sink in sinks.items():
                if descriptor in ready and sink.drain(descriptor, 1024 * 1024):
                    watched.discard(descriptor)
            if self._socket.fileno() in ready:
                return self._collect_status()
            if time.monotonic() >= deadline:
                return None

    def _collect_status(self) -> int:
        """Return the child's exit code; a lost interpreter counts as a killed child.

        Raises:
            RunnerError: There was no child.
        """
        answer = self._receive(time.monotonic() + 5.0)
        if answer is not None and "refused" in answer:
            raise RunnerError(f"no test run can be started: {answer['refused']}")
        if answer is None or "status" not in answer:
            self._stop()
            return 128 + 9
        return exit_code(int(answer["status"]))

    def _receive(self, deadline: float) -> dict[str, Any] | None:
        assert self._socket is not None
        while self._socket.fileno() not in self._processes.wait((self._socket.fileno(),), deadline):
            if time.monotonic() >= deadline:
                return None
        try:
            answer = json.loads(self._socket.recv(65536) or b"null")
        except (OSError, ValueError):
            return None
        return answer if isinstance(answer, dict) else None

    def _stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self.key() is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, 9)
        self._pid = 0


class _Report(Output):
    """The lines in which a run tells its outcomes; void if a test passed that had to fail."""

    def __init__(self, nonce: str, canary: str) -> None:
        super().__init__(64 * 1024 * 1024)
        self._nonce = nonce
        self._canaries = [f"{canary}{number}" for number in range(2)]

    def outcomes(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in self.text().split(b"\n"):
            # Tested code can write here too.
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                nonce, name, outcome = json.loads(line)
                if self._nonce and nonce == self._nonce and isinstance(outcome, str):
                    if name in self._canaries and outcome == "passed":
                        return {}
                    found[name] = outcome
        if any(found.pop(name, "passed") == "passed" for name in self._canaries):
            return {}
        return found
