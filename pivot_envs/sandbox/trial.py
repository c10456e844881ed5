"""Trial, a box under check, and what every check of it needs."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from pivot_envs.sandbox.base import CommandResult, Sandbox, SandboxState

MakeSandbox = Callable[[], Sandbox]

TIME_S = 20.0
"""For each command and test run; far more than it takes."""

EMPTY = SandboxState((), "", {})


@dataclass(frozen=True, slots=True)
class Trial:
    """A started box under check, empty before each law."""

    box: Sandbox
    make_sandbox: MakeSandbox
    """Makes another one."""

    def run(self, command: str) -> CommandResult:
        """Run a command with plenty of time."""
        return self.box.run(command, timeout_s=TIME_S)

    def output(self, command: str) -> str:
        """Return what a command prints."""
        return self.run(command).output

    def count(self, argument: str) -> int:
        """Return how many processes have this argument."""
        listing = "cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\\0' '\\n'"
        return int(self.output(f"{listing} | grep -c '^{re.escape(argument)}$'"))


Check = Callable[[Trial], None]
"""Tries one law; an AssertionError says what was seen instead."""


def must_raise(
    kind: type[Exception], doing: str, call: Callable[..., object], *arguments: object
) -> None:
    """Assert that a call raises an error of one kind; ``doing`` says what was attempted."""
    try:
        call(*arguments)
    except kind:
        return
    except Exception as error:
        raise AssertionError(f"{doing}: expected {kind.__name__}, {error!r} was raised") from error
    raise AssertionError(f"{doing}: expected {kind.__name__}, nothing was raised")


def unique_number() -> str:
    """Return an argument of ``sleep`` that no other process has."""
    return f"{10_000 + secrets.randbelow(10**6)}.5"
