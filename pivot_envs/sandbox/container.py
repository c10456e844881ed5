"""Container, a started Docker container in which the agent is ready to serve."""

import contextlib
import io
import logging
import os
import re
import select
import time
import weakref
import zipfile
from collections.abc import Mapping
from typing import Any

from pivot_envs.errors import SandboxError
from pivot_envs.sandbox.agent.frames import Channel
from pivot_envs.sandbox.attach_stream import AttachStream
from pivot_envs.sandbox.base import WORKSPACE
from pivot_envs.sandbox.engine import (
    OWNER_LABEL,
    WORKSPACE_LABEL,
    Owner,
    connect,
    engine_host,
    find_image,
    knock,
    translated,
)
from pivot_envs.sandbox.forks import let_go_in_children
from pivot_envs.sandbox.layout import AGENT, WARM_PROGRAMS, Interpreter, isolated_paths
from pivot_envs.sandbox.limits import Limits

_log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
REMOVE_TIMEOUT_S = 20.0
COMMAND_UID = 1000

CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"),
    *("KILL", "SETGID", "SETUID", "SETPCAP"),
)
"""What the agent needs to look after files and processes of another user; commands have none."""

_AGENT_PROCESSES = 8
_AGENT_BYTES = 256 * 1024 * 1024
"""For the agent, on top of what commands may use: contents pass through its memory."""

_NO_LIMIT = 1 << 20

_INSTANCE_IMAGE = re.compile(r"(^|/)(sweb\.eval|swesmith)\.")
"""Names of images that SWE-bench, SWE-Gym and SWE-smith make of their instances."""
_CHECKOUT = "/testbed"
_INSTANCE_PATH = "/opt/miniconda3/envs/testbed/bin"
"""Programs of the instance's own environment, which such an image's shells activate."""

# The agent arrives on stdin: four bytes of length and a zip archive that commands cannot read.
_BOOTSTRAP = """
import os, sys
if sys.version_info < (3, 9):
    sys.exit("Python 3.9 or newer is needed in the image, it has " + sys.version.split()[0])
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


class Container:
    """A container that belongs to this process; it is removed with this object, at the latest."""

    def __init__(self, image: str, limits: Limits) -> None:
        """Create and start it, and wait until its agent is ready.

        Raises:
            SandboxUnavailableError: There is no engine, or no such image.
            SandboxError: The container does not come up.
        """
        engine = connect()
        try:
            settings = find_image(engine, image)["Config"]
            with translated(f"a container of {image} cannot be created"):
                self.id: str = _create(engine, image, limits)
        except BaseException:
            engine.close()
            raise
        self.limits = limits
        # The connections that end with the container.
        ending = contextlib.ExitStack()
        ending.callback(engine.close)
        self._end = weakref.finalize(
            self, _end, engine, self.id, (os.getpid(), engine_host()), ending
        )
        try:
            with translated(f"the container of {image} does not start"):
                parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                stream = AttachStream(engine.attach_socket(self.id, parameters))
                ending.callback(stream.close)
                engine.start(self.id)
            self.channel = Channel(stream)
            self._stream = stream
            let_go_in_children(self)
            _await_agent(self.channel, stream, _configuration(image, limits, settings))
        except BaseException:
            self._end()
            raise

    def is_alive(self) -> bool:
        """Tell whether the agent is there; only while nothing is asked of it."""
        # An agent that was not asked says nothing: what can be read is the end.
        poll = select.poll()
        poll.register(self.channel.fileno(), select.POLLIN)
        return not poll.poll(0)

    def let_go(self) -> None:
        """Leave it to the process that this one was forked from."""
        self._end.detach()
        self._stream.let_go()

    def remove(self) -> None:
        """Remove it with everything in it; may be called twice."""
        self._end()


def _create(engine: Any, image: str, limits: Limits) -> str:
    memory, nano_cpus = limits.memory_bytes, None
    if limits.cpus is not None:
        nano_cpus = round(limits.cpus * 1e9)
    ids = f"uid={COMMAND_UID},gid={COMMAND_UID}"
    # Together they leave memory for processes when all are full: the limit counts both.
    rooms = {
        WORKSPACE: f"mode=755,{ids},size={memory // 2},nr_inodes=200000",
        "/tmp": f"mode=1777,{ids},size={memory // 4},nr_inodes=200000",
        "/run": "mode=755,size=64m",
    }
    if _INSTANCE_IMAGE.search(image):
        # Its own checkout may hold what came after the instance's commit.
        rooms[_CHECKOUT] = "mode=755,size=4k"
    host = engine.create_host_config(
        network_mode=limits.network,
        cap_drop=["ALL"],
        cap_add=list(CAPABILITIES),
        security_opt=["no-new-privileges"],
        read_only=True,
        tmpfs={path: f"rw,nosuid,nodev,exec,{options}" for path, options in rooms.items()},
        shm_size=memory // 16,
        ipc_mode="private",
        mem_limit=memory + _AGENT_BYTES,
        memswap_limit=memory + _AGENT_BYTES,
        pids_limit=limits.processes + _AGENT_PROCESSES,
        nano_cpus=nano_cpus,
        auto_remove=True,
    )
    created = engine.create_container(
        image,
        entrypoint=["python3", "-I", "-S", "-c", _BOOTSTRAP],
        command=[],
        user="0:0",
        hostname="sandbox",
        working_dir="/",
        stdin_open=True,
        labels={OWNER_LABEL: Owner.current().text()},
        host_config=host,
    )
    for warning in created.get("Warnings") or ():
        # An engine without the right to set a limit goes on without it.
        _log.warning("the Docker engine warns: %s", warning)
    return str(created["Id"])


def _configuration(image: str, limits: Limits, settings: Mapping[str, Any]) -> dict[str, Any]:
    pairs = (item.partition("=") for item in settings.get("Env") or ())
    image_environment = {name: value for name, _, value in pairs}
    if _INSTANCE_IMAGE.search(image):
        path = image_environment.get("PATH", os.defpath)
        image_environment["PATH"] = f"{_INSTANCE_PATH}:{path}"
    standard = Interpreter("/usr/local/bin/python3", "", (), "").environment("/tmp")
    path = image_environment.get("PATH", standard["PATH"])
    return {
        "programs": WARM_PROGRAMS,
        "paths": isolated_paths(),
        "baked": (settings.get("Labels") or {}).get(WORKSPACE_LABEL, ""),
        "box": {
            "level": "namespaces",
            "workspace": WORKSPACE,
            "scratch": "/tmp",
            "runtime": "/run/agent",
            "command_ids": (COMMAND_UID, COMMAND_UID),
            "environment": {**image_environment, **standard, "PATH": path},
            "memory_limit_bytes": limits.memory_bytes,
            # The kernel would count the processes of this user in every other container too;
            # the container's own limit bounds them.
            "max_processes": _NO_LIMIT,
            "max_file_bytes": limits.file_bytes,
            "max_output_bytes": limits.output_bytes,
        },
    }


def _await_agent(channel: Channel, stream: AttachStream, configuration: dict[str, Any]) -> None:
    try:
        stream.settimeout(START_TIMEOUT_S)
        archive = _archive()
        stream.sendall(len(archive).to_bytes(4, "big") + archive)
        channel.send(configuration, [(AGENT / name).read_bytes() for name in WARM_PROGRAMS])
        answer, _ = channel.receive(START_TIMEOUT_S)
    except (EOFError, OSError, ValueError) as error:
        reason = stream.errors() or repr(error)
        raise SandboxError(f"the agent did not start in the container: {reason}") from error
    if "error" in answer:
        raise SandboxError(f"the agent did not start in the container: {answer['error']}")


def _archive() -> bytes:
    """Return the agent's folder as a zip archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(AGENT.glob("*.py")):
            archive.write(path, f"agent/{path.name}")
    return content.getvalue()


def _end(
    engine: Any, container: str, maker: tuple[int, str], connections: contextlib.ExitStack
) -> None:
    """Remove a container, and wait until it is gone; the engine may be gone itself.

    ``maker`` is the id of the process that made it, and the engine's host.
    """
    pid, host = maker
    if os.getpid() != pid:
        return
    import docker
    import requests

    with connections, contextlib.suppress(OSError, requests.exceptions.RequestException):
        knock(host)
        deadline = time.monotonic() + REMOVE_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                engine.remove_container(container, force=True, v=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError:
                # It is being removed already, as its agent has ended.
                time.sleep(0.01)
