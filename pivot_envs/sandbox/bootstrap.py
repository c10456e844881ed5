"""Bootstrap, how the agent gets into a container and is started there."""

import io
import logging
import platform
import re
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.carried_python import carried_python
from pivot_envs.sandbox.layout import AGENT

_log = logging.getLogger(__name__)

_TOO_OLD = "Python 3.9 or newer is needed in the image"

# The agent arrives on stdin: four bytes of length and a zip archive that commands cannot read.
_START = f"""
import os, sys
if sys.version_info < (3, 9):
    sys.exit("{_TOO_OLD}, it has " + sys.version.split()[0])
def read(size):
    data = b""
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return data
content = read(int.from_bytes(read(4), "big"))
path = "/run/agent.zip"
with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
    file.write(content)
sys.path.insert(0, path)
from agent.container import main
main()
"""

_FLAGS = ("-I", "-S", "-c", _START)

# A carried Python arrives before it: for each file a line with size and path, and the content.
# Bash reads no byte beyond a line. Only root can read what becomes of it.
_UNPACK = """
umask 077
while read -r size path && [[ $path ]]; do
    mkdir -p "${path%/*}" &&
        dd bs="$size" count=1 iflag=fullblock of="$path" status=none || exit
done
chmod u+x "$1" && exec "$@"
"""
_FOLDER = "/run/python"

_LACKS_PYTHON = re.compile(rf"python3\W+executable file not found|\Wpython3\W+not found|{_TOO_OLD}")
_WORDS = {"x86_64": "amd64", "aarch64": "arm64"}
"""The engine's names of architectures."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What a container runs first, and what it is sent before the agent is spoken to."""

    entrypoint: tuple[str, ...]
    content: bytes = field(repr=False)
    carried_bytes: int = 0
    """Room that it takes in the container's memory, beside the agent itself."""

    @property
    def has_python(self) -> bool:
        """Whether the image has a Python, which commands and test runs then use."""
        return not self.carried_bytes


def bootstrap_for(image: Mapping[str, Any]) -> Bootstrap:
    """Return how to start the agent in an image, of which the engine says this.

    It is the image's own Python that runs it, unless ``note_failure`` has learned that it has none.

    Raises:
        SandboxUnavailableError: It has none, and this machine's cannot run in it.
    """
    if image["Id"] not in _without_python:
        return _by_image()
    ours = f"linux/{_WORDS.get(platform.machine(), platform.machine())}"
    theirs = f"{image['Os']}/{image['Architecture']}"
    if ours != theirs:
        raise SandboxUnavailableError(
            f"the image has no Python 3.9 or newer, and is for {theirs}, so that this machine's "
            f"for {ours} does not run in it: use an image with python3"
        )
    return _by_host()


def note_failure(image: Mapping[str, Any], error: BaseException) -> bool:
    """Tell whether an image's own Python did not start the agent because there is none.

    ``bootstrap_for`` knows it from then on.
    """
    if not _LACKS_PYTHON.search(str(error)):
        return False
    with _lock:
        is_new = image["Id"] not in _without_python
        _without_python.add(image["Id"])
    if is_new:
        _log.warning(
            "the image %s has no Python 3.9 or newer: the agent in its boxes runs on this "
            "machine's, which commands do not see, and no tests can be run in them",
            (image.get("RepoTags") or [image["Id"]])[0],
        )
    return True


@cache
def _by_image() -> Bootstrap:
    return Bootstrap(("python3", *_FLAGS), _agent())


@cache
def _by_host() -> Bootstrap:
    python = carried_python()
    parcels = [
        b"%d %s\n" % (len(content), f"{_FOLDER}/{path}".encode()) + content
        for path, content in python.files.items()
    ]
    program = [word if word.startswith("-") else f"{_FOLDER}/{word}" for word in python.program]
    entrypoint = ("/bin/bash", "-c", _UNPACK, "bash", *program, *_FLAGS)
    return Bootstrap(entrypoint, b"".join(parcels) + b"\n" + _agent(), python.size)


def _agent() -> bytes:
    """Return the agent's folder as a zip archive, with its length in front."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(AGENT.glob("*.py")):
            archive.write(path, f"agent/{path.name}")
    return len(content.getvalue()).to_bytes(4, "big") + content.getvalue()


_lock = threading.Lock()
_without_python: set[str] = set()
"""Ids of images of which it is known."""
