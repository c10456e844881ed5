"""SiteProcess, a private site server of one environment."""

import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from pivot_envs.errors import InfraError

_START_TIMEOUT_S = 30.0
_ANSWER_TIMEOUT_S = 10.0


class SiteProcess:
    """Serves one site's database on a free port of 127.0.0.1, in a process of its own.

    The process ends with ``close`` or with its owner, however that ends. After an ``InfraError``
    the process is gone, and the next ``load`` starts another, on another port.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._port = 0
        self._finalizer: Callable[[], object] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where the process listens, as host and port; another process has another port."""
        return "127.0.0.1", self._port

    @property
    def pid(self) -> int | None:
        """The id of the process, ``None`` if there is none."""
        return None if self._process is None else self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Make sure that the process runs.

        Raises:
            InfraError: It does not.
        """
        if not self.is_alive:
            raise self._failure("has died")

    def load(self, site: str, content: bytes) -> None:
        """Serve this database as this site; starts the process where there is none.

        Raises:
            InfraError: The process does not start or does not answer.
        """
        if not self.is_alive:
            self._start()
        self._ask(b"load", site.encode(), content)

    def save(self) -> bytes:
        """Return the database.

        Raises:
            InfraError: The process died or does not answer.
        """
        self.check()
        return self._ask(b"save")

    def close(self) -> None:
        """End the process."""
        if self._finalizer is not None:
            self._finalizer()
        self._pipe = self._process = self._finalizer = None

    def _start(self) -> None:
        self.close()
        self._pipe, far_end = Pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pivot_envs.web.sites.server", str(far_end.fileno())],
                pass_fds=[far_end.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Ctrl-C is for the owner, which then closes the pipe.
                start_new_session=True,
                env={**os.environ, "PYTHONHASHSEED": "0"},
            )
        finally:
            far_end.close()
        # An environment that nobody closed takes its server with it.
        self._finalizer = weakref.finalize(self, _end, self._pipe, self._process)
        self._port = int(self._receive(_START_TIMEOUT_S))

    def _ask(self, *messages: bytes) -> bytes:
        try:
            assert self._pipe is not None
            for message in messages:
                self._pipe.send_bytes(message)
        except OSError as error:
            raise self._failure("has died") from error
        return self._receive(_ANSWER_TIMEOUT_S)

    def _receive(self, timeout_s: float) -> bytes:
        try:
            assert self._pipe is not None
            if self._pipe.poll(timeout_s):
                return self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._failure("has died") from error
        raise self._failure(f"gave no answer for {timeout_s:g} s")

    def _failure(self, what: str) -> InfraError:
        self.close()
        return InfraError(f"the site server {what}; the next reset starts another")


def _end(pipe: Connection, process: subprocess.Popen[bytes]) -> None:
    pipe.close()
    process.kill()
    process.wait()
