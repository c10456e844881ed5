"""Container, a started Docker container in which the agent is ready to serve."""

import contextlib
import logging
import os
import re
import select
import time
import weakref
from collections.abc import Mapping
from typing import Any

from pivot_envs.errors import SandboxError
from pivot_envs.sandbox.agent.frames import Channel
from pivot_envs.sandbox.attach_stream import AttachStream
from pivot_envs.sandbox.base import WORKSPACE
from pivot_envs.sandbox.bootstrap import Bootstrap, bootstrap_for, note_failure
from pivot_envs.sandbox.engine import (
    OWNER_LABEL,
    WORKSPACE_LABEL,
    Owner,
    connect,
    find_image,
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

_RUN_BYTES = 64 * 1024 * 1024
_NO_LIMIT = 1 << 20

_INSTANCE_IMAGE = re.compile(r"(^|/)(sweb\.eval|swesmith)\.")
"""Names of images that SWE-bench, SWE-Gym and SWE-smith make of their instances."""
_CHECKOUT = "/testbed"
_INSTANCE_PATH = "/opt/miniconda3/envs/testbed/bin"
"""Programs of the instance's own environment, which such an image's shells activate."""


class _PythonMissingError(SandboxError):
    """An image that was thought to have a Python has none."""


class Container:
    """A container that belongs to this process; it is removed with this object, at the latest."""

    def __init__(self, image: str, limits: Limits) -> None:
        """Create and start it, and wait until its agent is ready.

        Raises:
            SandboxUnavailableError: There is no engine, or no such image.
            SandboxError: The container does not come up.
        """
        self.limits = limits
        try:
            self._start(image)
        except _PythonMissingError:
            # Now that it is known of the image, one is brought along.
            self._start(image)

    def _start(self, image: str) -> None:
        engine = connect()
        try:
            found = find_image(engine, image)
            bootstrap = bootstrap_for(found)
            with translated(f"a container of {image} cannot be created"):
                self.id: str = _create(engine, image, self.limits, bootstrap)
        except BaseException:
            engine.close()
            raise
        # The connections that end with the container.
        ending = contextlib.ExitStack()
        ending.callback(engine.close)
        self._end = weakref.finalize(self, _end, engine, self.id, os.getpid(), ending)
        self.has_python = bootstrap.has_python
        try:
            with translated(f"the container of {image} does not start"):
                parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                stream = AttachStream(engine.attach_socket(self.id, parameters))
                ending.callback(stream.close)
                engine.start(self.id)
            self.channel = Channel(stream)
            self._stream = stream
            let_go_in_children(self)
            configuration = _configuration(image, self.limits, found["Config"], bootstrap)
            _await_agent(self.channel, stream, bootstrap, configuration)
        except BaseException as error:
            self._end()
            if isinstance(error, SandboxError):
                raise _explained(error, found, bootstrap) from error.__cause__
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


def _explained(error: SandboxError, found: Any, bootstrap: Bootstrap) -> SandboxError:
    """Return what to raise where an agent did not start in an image."""
    if not bootstrap.has_python:
        return SandboxError(
            f"{error} (the image has no python3 of 3.9 or newer; for this machine's to run in it "
            "instead, it needs /bin/bash and coreutils)"
        )
    return _PythonMissingError(str(error)) if note_failure(found, error) else error


def _create(engine: Any, image: str, limits: Limits, bootstrap: Bootstrap) -> str:
    memory, nano_cpus = limits.memory_bytes, None
    if limits.cpus is not None:
        nano_cpus = round(limits.cpus * 1e9)
    bound = memory + _AGENT_BYTES + bootstrap.carried_bytes
    host = engine.create_host_config(
        network_mode=limits.network,
        cap_drop=["ALL"],
        cap_add=list(CAPABILITIES),
        security_opt=["no-new-privileges"],
        read_only=True,
        tmpfs=_rooms(image, memory, bootstrap),
        shm_size=memory // 16,
        ipc_mode="private",
        mem_limit=bound,
        memswap_limit=bound,
        pids_limit=limits.processes + _AGENT_PROCESSES,
        nano_cpus=nano_cpus,
        auto_remove=True,
    )
    created = engine.create_container(
        image,
        entrypoint=list(bootstrap.entrypoint),
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


def _rooms(image: str, memory: int, bootstrap: Bootstrap) -> dict[str, str]:
    """Return the folders that lie in memory, with their mount options."""
    ids = f"uid={COMMAND_UID},gid={COMMAND_UID}"
    # Together they leave memory for processes when all are full: the limit counts both.
    rooms = {
        WORKSPACE: f"mode=755,{ids},size={memory // 2},nr_inodes=200000",
        "/tmp": f"mode=1777,{ids},size={memory // 4},nr_inodes=200000",
        "/run": f"mode=755,size={_RUN_BYTES + bootstrap.carried_bytes}",
    }
    if _INSTANCE_IMAGE.search(image):
        # Its own checkout may hold what came after the instance's commit.
        rooms[_CHECKOUT] = "mode=755,size=4k"
    return {path: f"rw,nosuid,nodev,exec,{options}" for path, options in rooms.items()}


def _configuration(
    image: str, limits: Limits, settings: Mapping[str, Any], bootstrap: Bootstrap
) -> dict[str, Any]:
    pairs = (item.partition("=") for item in settings.get("Env") or ())
    image_environment = {name: value for name, _, value in pairs}
    if _INSTANCE_IMAGE.search(image):
        path = image_environment.get("PATH", os.defpath)
        image_environment["PATH"] = f"{_INSTANCE_PATH}:{path}"
    standard = Interpreter("/usr/local/bin/python3", "", (), "").environment("/tmp")
    path = image_environment.get("PATH", standard["PATH"])
    return {
        "has_python": bootstrap.has_python,
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


def _await_agent(
    channel: Channel, stream: AttachStream, bootstrap: Bootstrap, configuration: dict[str, Any]
) -> None:
    try:
        stream.settimeout(START_TIMEOUT_S)
        stream.sendall(bootstrap.content)
        channel.send(configuration, [(AGENT / name).read_bytes() for name in WARM_PROGRAMS])
        answer, _ = channel.receive(START_TIMEOUT_S)
    except (EOFError, OSError, ValueError) as error:
        reason = stream.errors() or repr(error)
        raise SandboxError(f"the agent did not start in the container: {reason}") from error
    if "error" in answer:
        raise SandboxError(f"the agent did not start in the container: {answer['error']}")


def _end(engine: Any, container: str, maker: int, connections: contextlib.ExitStack) -> None:
    """Remove a container, and wait until it is gone; the engine may be gone itself.

    ``maker`` is the id of the process that made it.
    """
    if os.getpid() != maker:
        return
    import docker
    import requests

    with connections, contextlib.suppress(OSError, requests.exceptions.RequestException):
        deadline = time.monotonic() + REMOVE_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                engine.remove_container(container, force=True, v=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError:
                # It is being removed already, as its agent has ended.
                time.sleep(0.01)
