"""Launcher, the agent's entry: reads the host's configuration, isolates itself, serves."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
from typing import Any

from . import namespaces
from .box import Box
from .frames import Channel
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
    values = config["box"]
    try:
        first = _isolate(config) if values["level"] == "namespaces" else _contain(values)
    except OSError as error:
        channel.send({"error": error.strerror or str(error), "kind": "unavailable"})
        return
    if first:
        channel.close()
        os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF)
    try:
        if values["level"] == "namespaces":
            os.mkdir(values["runtime"])
            namespaces.drop_capabilities()
        files = {name: programs[index] for index, name in enumerate(config["programs"])}
        Server(_box(values), channel, files).serve()
    except Exception as error:
        channel.send({"error": f"{type(error).__name__}: {error}", "kind": "failure"})
    finally:
        os._exit(1)


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
    """Become the reaper of every descendant; the least that can be had without namespaces."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    uid = values["command_ids"][0] if values["command_ids"] else os.getuid()
    # The kernel counts all processes of a user, not only those of this box.
    values["max_processes"] += _threads_of(uid)
    return 0


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
