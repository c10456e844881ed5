"""Container, the agent's entry as the first process of a container, which others made for it."""

from __future__ import annotations

import os
import shutil
import signal
import sys

from . import namespaces
from .box import Box
from .frames import Channel
from .guard import Guard
from .landlock import Paths
from .server import Server


class Pipes:
    """Two pipes, read from and written to like one stream socket."""

    def __init__(self, reader: int, writer: int) -> None:
        """Take over two descriptors."""
        self._reader = reader
        self._writer = writer

    def fileno(self) -> int:
        """Return the descriptor whose end is the host's end."""
        return self._reader

    def recv_into(self, buffer: memoryview) -> int:
        """Read what there is, at least one byte; return how many, 0 at the end."""
        return os.readv(self._reader, [buffer])

    def sendall(self, data: bytes) -> None:
        """Write everything."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._writer, view) :]

    def settimeout(self, timeout_s: float | None) -> None:
        """Do nothing: the agent waits for its host as long as there is one."""

    def close(self) -> None:
        """Close both."""
        os.close(self._reader)
        os.close(self._writer)


def main() -> None:
    """Serve the host at the other end of stdin and stdout.

    The container's limits, mounts and network are its engine's doing; it runs as root with the
    capabilities of ``namespaces.drop_capabilities``, and commands as another user with none.
    """
    channel = Channel(Pipes(os.dup(0), os.dup(1)))
    null = os.open(os.devnull, os.O_RDWR)
    # What anything prints here by accident must not reach the host as a message.
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    os.umask(0o022)
    # The first process of a namespace gets no signal that it does not handle.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    config, programs = channel.receive()
    try:
        values = config["box"]
        uid, gid = values["command_ids"]
        os.mkdir(values["runtime"])
        # An engine copies what the image has there.
        for folder in (values["workspace"], values["scratch"]):
            _empty(folder)
        if config["baked"]:
            _copy(config["baked"], values["workspace"], uid, gid)
        namespaces.drop_capabilities()
        namespaces.hide_from_others()
        paths = Paths(**{kind: tuple(names) for kind, names in config["paths"].items()})
        guard = Guard.make(paths, isolated=True, own_user=True)
        guard.check()
        box = Box(
            **{
                **values,
                "python": sys.executable if config["has_python"] else "",
                "command_ids": (uid, gid),
                "kept_paths": frozenset(),
            }
        )
        files = {name: programs[index] for index, name in enumerate(config["programs"])}
        Server(box, channel, files, guard).serve()
    except Exception as error:
        channel.send({"error": f"{type(error).__name__}: {error}", "kind": "failure"})
    finally:
        os._exit(1)


def _copy(source: str, target: str, uid: int, gid: int) -> None:
    """Copy what a folder holds into an empty one, for another user."""
    for item in os.scandir(source):
        path = os.path.join(target, item.name)
        if item.is_symlink():
            os.symlink(os.readlink(item.path), path)
        elif item.is_dir():
            os.mkdir(path)
            _copy(item.path, path, uid, gid)
        elif item.is_file():
            shutil.copyfile(item.path, path)
        else:
            continue
        os.chown(path, uid, gid, follow_symlinks=False)
        if not item.is_symlink():
            os.chmod(path, item.stat().st_mode & 0o7777)


def _empty(folder: str) -> None:
    for item in os.scandir(folder):
        if item.is_dir(follow_symlinks=False):
            shutil.rmtree(item.path)
        else:
            os.unlink(item.path)
