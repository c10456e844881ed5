"""Launcher, the agent's entry: reads the host's configuration, isolates itself, serves."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
from typing import Any, NoReturn

from . import namespaces
from .box import Box
from .frames import Channel
from .guard import Guard
from .landlock import Paths
from .processes import Processes
from .removal import remove_box
from .server import Server

_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Run the agent on the stream socket whose descriptor is the last argument."""
    channel = Channel(socket.socket(fileno=int(sys.argv[-1])))
    os.umask(0o022)
    # A host started by nohup or in the background ignores these, and its children would too.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    config, programs = channel.receive()
    isolated = config["box"]["level"] == "namespaces"
    try:
        first = _isolate(config) if isolated else _contain(config["box"])
        if first:
            _keep(first, _box(config["box"]), channel, config["folder"])
        guard = _guard(config)
    except OSError as error:
        # What was killed says nothing of this machine; the next start may do.
        kind = "killed" if isinstance(error, ChildProcessError) else "unavailable"
        channel.send({"error": error.strerror or str(error), "kind": kind})
        os._exit(1)
    try:
        if isolated:
            os.mkdir(config["box"]["runtime"])
        namespaces.hide_from_others()
        files = {name: programs[index] for index, name in enumerate(config["programs"])}
        Server(_box(config["box"]), channel, files, guard).serve()
    except Exception as error:
        channel.send({"error": f"{type(error).__name__}: {error}", "kind": "failure"})
    finally:
        os._exit(1)


def _guard(config: dict[str, Any]) -> Guard:
    """Return what commands get on top of their users and limits.

    Raises:
        OSError: The kernel does not have it.
    """
    isolated = config["box"]["level"] == "namespaces"
    if isolated:
        namespaces.drop_capabilities()
    if config["paths"] is None:
        return Guard()
    paths = Paths(**{kind: tuple(names) for kind, names in config["paths"].items()})
    own_user = config["box"]["command_ids"] is not None
    guard = Guard.make(paths, isolated=isolated, own_user=own_user)
    guard.check()
    return guard


def _isolate(config: dict[str, Any]) -> int:
    layout = config["layout"]
    return namespaces.isolate(
        namespaces.Layout(
            read_only=tuple(layout["read_only"]),
            hidden=tuple(layout["hidden"]),
            symlinks=tuple((path, target) for path, target in layout["symlinks"]),
            files=tuple((path, text) for path, text in layout["files"]),
            tmpfs_bytes=layout["tmpfs_bytes"],
        ),
        namespaces.Identity(*config["agent"]),
        namespaces.Identity(*config["command"]) if config["command"] else None,
    )


def _contain(values: dict[str, Any]) -> int:
    """Fork the agent, below a process that ends what is left when the agent has ended.

    Both are reapers of every descendant; it is the least that can be had without namespaces.

    Returns:
        0 in the agent, its process id in the parent.
    """
    uid = values["command_ids"][0] if values["command_ids"] else os.getuid()
    # The kernel counts all processes of a user, not only those of this box.
    values["max_processes"] += _threads_of(uid)
    _become_reaper()
    agent = os.fork()
    if agent == 0:
        namespaces.die_with_parent(signal.SIGTERM)
        _become_reaper()
    return agent


def _become_reaper() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _keep(first: int, box: Box, channel: Channel, folder: str) -> NoReturn:
    """Wait for the end of the box's first process, as its parent; then end this one.

    A first process with a process namespace takes all others with it, whatever ends it. Without
    one they become children of this process, which ends them, and removes the box's folder.
    """
    namespaces.hide_from_others()
    if box.level == "namespaces":
        channel.close()
        os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGKILL))
    # The id stays the agent's until it is collected.
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    processes = Processes(box, channel.fileno(), Guard())
    processes.end_all()
    remove_box(folder)
    os._exit(0)


def _threads_of(uid: int) -> int:
    count = 0
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:
                count += len(os.listdir(f"/proc/{name}/task"))
    return count


def _box(values: dict[str, Any]) -> Box:
    ids = values["command_ids"]
    return Box(
        **{
            **values,
            "command_ids": (ids[0], ids[1]) if ids else None,
            "kept_paths": frozenset(values["kept_paths"]),
        }
    )
