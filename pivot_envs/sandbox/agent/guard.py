"""Guard, what is taken from every process that runs commands: system calls and paths."""

from __future__ import annotations

import os

from . import landlock, seccomp
from .landlock import Paths


class Guard:
    """A filter of system calls and a set of path rules, applied by a child before its program.

    Both are inherited by all descendants and cannot be taken off. A guard without either, as
    ``Guard()``, does nothing.
    """

    def __init__(self, program: bytes = b"", ruleset: int | None = None) -> None:
        """Take a filter program and the descriptor of a set of Landlock rules."""
        self._program = program
        self._ruleset = ruleset

    @classmethod
    def make(cls, paths: Paths, *, isolated: bool, own_user: bool) -> Guard:
        """Return the guard of a box.

        Args:
            paths: What commands may use of the file system.
            isolated: Whether the box has network, process and mount namespaces of its own. Then
                the guard comes on top of them and does without Landlock where the kernel has none.
            own_user: Whether commands run as a user that nothing else runs as. If not, and
                without isolation, a command can signal only what its own shell started.

        Raises:
            OSError: The kernel, or this machine's architecture, cannot do it.
        """
        program = seccomp.build_filter(os.uname().machine, isolated=isolated)
        if isolated and landlock.abi() < landlock.MIN_ABI:
            return cls(program)
        ruleset = landlock.create_ruleset(paths, network=isolated, signals=isolated or own_user)
        return cls(program, ruleset)

    @property
    def keeps_apart(self) -> bool:
        """Whether no program under it can look into one that was started separately.

        The kernel lets a process see the memory and the descriptors of another only if both are
        under the same entry of Landlock rules, or the other one is under a later one.
        """
        return self._ruleset is not None

    def check(self) -> None:
        """Find out in a child whether the guard can be entered.

        Raises:
            OSError: It cannot.
        """
        child = os.fork()
        if child == 0:
            status = 1
            try:
                self.enter()
                status = 0
            finally:
                os._exit(status)
        if os.waitpid(child, 0)[1] != 0:
            raise OSError("the kernel refuses to install the filter of system calls or Landlock")

    def enter(self) -> None:
        """Put this process under the guard; privileges to be dropped must be dropped before.

        Raises:
            OSError: The kernel refuses.
        """
        if self._ruleset is not None:
            landlock.restrict(self._ruleset)
        if self._program:
            seccomp.install(self._program)
