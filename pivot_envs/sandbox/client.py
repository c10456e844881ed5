"""AgentSandbox, the host's side of every box that is served by the in-box agent."""

import contextlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from pivot_envs.errors import SandboxError, SnapshotError, UnsavableError
from pivot_envs.sandbox.agent.frames import Channel
from pivot_envs.sandbox.base import CommandResult, Sandbox, SandboxState, TestReport
from pivot_envs.sandbox.limits import Limits
from pivot_envs.sandbox.mirror import Mirror
from pivot_envs.sandbox.pytest_command import pytest_words

ANSWER_TIMEOUT_S = 60.0
"""How long the agent may take for anything but a command, and a command beyond its own time."""

_REFUSED = ("missing", "value", "failure")


class AgentSandbox(Sandbox):
    """A sandbox that talks to the in-box agent over one channel.

    A subclass starts the box in ``_open`` and ends it in ``_shut``.
    """

    def __init__(self, limits: Limits) -> None:
        """Prepare; nothing is started before ``start``.

        Raises:
            ValueError: A box of this kind cannot keep the limits.
        """
        self._check_limits(limits)
        self._limits = limits
        self._channel: Channel | None = None
        self._level = ""
        self._mirror = Mirror()

    @property
    def level(self) -> str:
        """The isolation in use; empty before ``start``."""
        return self._level

    @property
    def limits(self) -> Limits:
        """What commands may use."""
        return self._limits

    def set_limits(self, limits: Limits) -> None:
        """Use these limits from now on; a running box that has others is closed.

        Raises:
            ValueError: A box of this kind cannot keep them.
        """
        self._check_limits(limits)
        if limits != self._limits:
            self._end()
            self._limits = limits

    def start(self) -> None:
        """Start the box with an empty workspace; does nothing if it runs.

        Raises:
            SandboxUnavailableError: This machine cannot isolate and ``unsafe`` was not given.
            SandboxError: The box does not come up.
        """
        if self._channel is None:
            self._channel, self._level = self._open()

    def run(self, command: str, *, timeout_s: float) -> CommandResult:
        """Run a command in the persistent bash, or in a warm pytest; see ``Sandbox.run``.

        After a timeout or ``exit`` the shell is as it was before the command.
        """
        if "\0" in command:
            return CommandResult("bash: the command contains a NUL character\n", 2)
        header, blobs = self._ask(
            {
                "op": "run",
                "command": _sendable(command),
                "timeout_s": timeout_s,
                "warm": pytest_words(command),
            },
            timeout_s=timeout_s,
        )
        return CommandResult(
            output=blobs[0].decode("utf-8", "replace"),
            exit_code=header["exit_code"],
            timed_out=header["exit_code"] is None,
            omitted_bytes=header["omitted_bytes"],
        )

    def read_file(self, path: str) -> bytes:
        """Return a workspace file; ``path`` is relative to the workspace or absolute inside it.

        Raises:
            FileNotFoundError: There is no readable regular file at ``path`` in the workspace.
        """
        header, blobs = self._ask({"op": "read", "path": path}, expected=_REFUSED)
        if "error" in header:
            raise FileNotFoundError(f"no file {path!r} in the workspace: {header['error']}")
        return blobs[0]

    def write_file(self, path: str, content: bytes) -> None:
        """Write a workspace file in place, keeping its mode; missing folders are created.

        Raises:
            ValueError: ``path`` leaves the workspace or names a directory, or the file cannot be
                written, for instance because the box is full.
        """
        header, _ = self._ask({"op": "write", "path": path}, (content,), expected=_REFUSED)
        if "error" in header:
            raise ValueError(f"{path!r} cannot be written: {header['error']}")

    def save(self) -> SandboxState:
        """Save workspace and shell; nothing is disturbed.

        Named pipes, sockets, modification times and which names are hard links of the same file
        are not saved (a load makes a file of its own of each name); nor are files outside the
        workspace and running processes. What a background process writes meanwhile is saved as it
        was at some moment of the save, each file by itself.

        Raises:
            UnsavableError: Commands left a workspace that no state can hold.
        """
        request = {"op": "save", "forget": self._mirror.forget()}
        header, blobs = self._ask(request, expected=("unsavable",))
        if "error" in header:
            raise UnsavableError(f"the workspace cannot be saved: {header['error']}")
        self._mirror.take_saved(header["changed"], header["removed"], blobs)
        try:
            return self._mirror.state(header["shell"])
        except SandboxError:
            self._end()
            raise

    def load(self, state: SandboxState) -> None:
        """End all processes, bring back a saved workspace and shell, and verify the result.

        The scratch folder ``/tmp`` is emptied.

        Raises:
            SnapshotError: A blob is missing, a path is none, or the loaded workspace differs from
                the state. The box can still load another state.
        """
        must_forget = self._mirror.forget()
        changes = self._mirror.changes_to(state)
        request = {
            "op": "load",
            "forget": must_forget,
            "changed": [
                (entry.path, entry.kind, entry.mode, entry.content) for entry in changes.entries
            ],
            "removed": changes.removed,
            "count": changes.count,
            "shell": _sendable(state.shell),
        }
        header, _ = self._ask(request, expected=("value",))
        if "needed" in header:
            blobs = self._mirror.contents(header["needed"])
            header, _ = self._ask({}, blobs, expected=("value",))
        if "error" in header:
            self._mirror.doubt()
            raise SnapshotError(f"the state cannot be loaded: {header['error']}")
        self._mirror.take_loaded(changes)

    def run_tests(
        self, test_ids: Sequence[str], *, timeout_s: float, options: Sequence[str] = ()
    ) -> TestReport:
        """Run named tests in a fresh process outside the agent's shell.

        The project's ``addopts`` are not used; ``options`` are passed to pytest. Whatever the
        tests leave running is ended.

        Args:
            test_ids: Files, folders or test ids, relative to the workspace.
            timeout_s: Time for the whole run.
            options: More pytest options.

        Raises:
            ValueError: No test is named.
            SandboxError: pytest cannot be imported in the box, or the box is dead.
        """
        if not test_ids:
            raise ValueError("name at least one test, file or folder")
        header, blobs = self._ask(
            {
                "op": "tests",
                "test_ids": list(test_ids),
                "options": list(options),
                "timeout_s": timeout_s,
            },
            timeout_s=timeout_s,
        )
        return TestReport(
            outcomes=header["outcomes"],
            output=blobs[0].decode("utf-8", "replace"),
            timed_out=header["timed_out"],
        )

    def close(self) -> None:
        """End every process and free everything; may be called twice."""
        self._end()

    def restart(self) -> None:
        """Replace the box, whatever became of it, by a new one with an empty workspace."""
        self._end()
        self.start()

    def _end(self) -> None:
        """End the box as it is; another one may follow."""
        channel, self._channel = self._channel, None
        self._mirror = Mirror()
        if channel is not None:
            channel.close()
            self._shut()

    @abstractmethod
    def _check_limits(self, limits: Limits) -> None:
        """Raise ValueError if a box of this kind cannot keep the limits."""

    @abstractmethod
    def _open(self) -> tuple[Channel, str]:
        """Start the box; return its channel and its isolation level."""

    @abstractmethod
    def _shut(self) -> None:
        """End the box, whose channel is closed already."""

    def _ask(
        self,
        header: Mapping[str, Any],
        blobs: Sequence[bytes] = (),
        *,
        timeout_s: float = 0.0,
        expected: Sequence[str] = (),
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Send a request and return its answer; errors of the kinds ``expected`` are answers."""
        if self._channel is None:
            raise SandboxError("the sandbox does not run: call start() first, or again")
        try:
            self._channel.sock.settimeout(ANSWER_TIMEOUT_S)
            self._channel.send(header, blobs)
            answer, parts = self._channel.receive(timeout_s + ANSWER_TIMEOUT_S)
        except (EOFError, OSError, ValueError) as error:
            self._end()
            raise SandboxError(f"the box died or broke its protocol: {error!r}") from error
        except BaseException:
            # An interrupted exchange leaves an answer behind that the next request would take.
            self._end()
            raise
        if "error" in answer and answer.get("kind") not in expected:
            raise SandboxError(f"{header.get('op', 'load')} failed in the box: {answer['error']}")
        return answer, parts


def _sendable(text: str) -> str:
    """Return a text that the agent can encode, whatever surrogates it has."""
    with contextlib.suppress(UnicodeEncodeError):
        text.encode("utf-8", "surrogateescape")
        return text
    return text.encode("utf-8", "replace").decode()
