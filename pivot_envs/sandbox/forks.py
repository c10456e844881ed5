"""Connections to boxes, which a forked process inherits and has to let go of.

A box ends when the last copy of its host's connection is closed.
"""

import functools
import os
import weakref
from typing import Protocol


class Connected(Protocol):
    """Whoever has a connection to a box."""

    def let_go(self) -> None:
        """Close this process's copy of the connection, and leave the box as it is."""


_connected: "weakref.WeakSet[Connected]" = weakref.WeakSet()


def let_go_in_children(one: Connected) -> None:
    """Have every process that this one forks let go of a connection."""
    _hook()
    _connected.add(one)


@functools.cache
def _hook() -> None:
    os.register_at_fork(after_in_child=_let_go_of_all)


def _let_go_of_all() -> None:
    for one in list(_connected):
        one.let_go()
    _connected.clear()
