"""ProcessHost, which holds an environment in a process of its own."""

import pickle
import socket
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle

from pivot_agents.env_host import LocalHost, MakeEnv, Outcome, Start
from pivot_envs.errors import WorkerError

_CLOSE_S = 10.0


class ProcessHost:
    """Holds its environment in a worker process; a dead worker is a ``WorkerError``.

    The worker is a fresh interpreter and no fork: a fork of a process that has loaded torch and
    runs threads may hang.
    """

    def __init__(self, make_env: MakeEnv) -> None:
        """Start the worker and make the environment in it.

        Raises:
            WorkerError: The worker could not be started or ended at once.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "pivot_agents.worker_process", str(theirs.fileno())]
            self._worker = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )
        self._pipe = Connection(ours.detach())
        try:
            # The worker must find the caller's modules where the caller does.
            self._ask((list(sys.path), cloudpickle.dumps(make_env)))
        except BaseException:
            self._end()
            raise

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._worker.pid

    def reset(self, start: Start) -> Outcome:
        """Begin an episode."""
        outcome: Outcome = self._ask(("reset", (start,)))
        return outcome

    def step(self, action: str, record: bool) -> Outcome:
        """Act."""
        outcome: Outcome = self._ask(("step", (action, record)))
        return outcome

    def close(self) -> None:
        """Close the environment and end the worker."""
        try:
            if self._worker.poll() is None:
                self._ask(("close", ()))
        finally:
            self._end()

    def _end(self) -> None:
        """Let the worker end by itself, which it does without its pipe."""
        self._pipe.close()
        try:
            self._worker.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._worker.kill()
            self._worker.wait()

    def _ask(self, message: Any) -> Any:
        try:
            self._pipe.send(message)
            answer, error = pickle.loads(self._pipe.recv_bytes())
        except (EOFError, OSError) as cause:
            with suppress(subprocess.TimeoutExpired):
                self._worker.wait(1.0)
            raise WorkerError(
                f"the worker process {self._worker.pid} of an environment is gone "
                f"(exit status {self._worker.returncode})"
            ) from cause
        if error is not None:
            raise error
        return answer


def serve(pipe: Connection) -> None:
    """Make the environment that comes first, then answer calls until one is ``close``."""
    host, name = None, ""
    while name != "close":
        try:
            message = pipe.recv()
        except EOFError:
            break
        answer = error = None
        try:
            if host is None:
                sys.path[:], make_env = message
                host = LocalHost(cloudpickle.loads(make_env))
            else:
                name, arguments = message
                answer = getattr(host, name)(*arguments)
        except Exception as raised:
            error = raised
        pipe.send_bytes(_portable(answer, error))
    if host is not None and name != "close":
        host.close()


def _portable(answer: Any, error: Exception | None) -> bytes:
    """Return what can be sent; what cannot is described by an exception.

    Classes of the caller's own script are unknown here by name, and sent whole.
    """
    for dump in (pickle.dumps, cloudpickle.dumps):
        with suppress(Exception):
            sent: bytes = dump((answer, error))
            if error is not None:
                pickle.loads(sent)  # some exceptions can be written and not read
            return sent
    what = (
        f"answered what cannot be sent: {answer!r:.200}" if error is None else f"raised {error!r}"
    )
    return pickle.dumps((None, RuntimeError(f"an environment {what}")))


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
