"""Engine, the Docker engine that this process reaches, and the labels by which it finds its own."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pivot_envs.errors import SandboxError, SandboxUnavailableError
from pivot_envs.sandbox.engine_client import engine_client

OWNER_LABEL = "pivot_envs.owner"
"""On every container: the process that it belongs to, as ``Owner.text()``."""

IMAGE_LABEL = "pivot_envs.image"
"""On every image that this project builds."""

WORKSPACE_LABEL = "pivot_envs.workspace"
"""On images with a baked workspace: the folder that it is copied from."""

REQUEST_TIMEOUT_S = 60

_DEFAULT_HOST = "unix:///var/run/docker.sock"

_HOW_TO_START = (
    "Start one (sudo systemctl start docker; in a clone of this project: "
    'eval "$(bash .ci/docker-engine)") or set DOCKER_HOST to one that runs'
)


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, named so that no other process of any machine has the same name."""

    machine: str
    boot: str
    pid_namespace: str
    pid: int
    start_ticks: int
    """When it started, in clock ticks since the boot."""

    @classmethod
    def current(cls) -> "Owner":
        """Return this process."""
        pid = os.getpid()
        return cls(*_place(), pid, _start_ticks(pid) or 0)

    @classmethod
    def parse(cls, text: str) -> "Owner | None":
        """Read ``text()``, or return None if it is none."""
        parts = text.split(":")
        if len(parts) != 5 or not (parts[3].isdigit() and parts[4].isdigit()):
            return None
        machine, boot, pid_namespace, pid, start_ticks = parts
        return cls(machine, boot, pid_namespace, int(pid), int(start_ticks))

    def text(self) -> str:
        """Return the value of the label."""
        return ":".join(
            (self.machine, self.boot, self.pid_namespace, str(self.pid), str(self.start_ticks))
        )

    def is_gone(self) -> bool:
        """Tell whether the process has certainly ended; what cannot be seen counts as alive."""
        machine, boot, pid_namespace = _place()
        if self.machine != machine or not machine:
            return False
        if self.boot != boot:
            return True
        return self.pid_namespace == pid_namespace and _start_ticks(self.pid) != self.start_ticks


def engine_host() -> str:
    """Return where the engine is, such as ``unix:///var/run/docker.sock``."""
    return os.environ.get("DOCKER_HOST") or _DEFAULT_HOST


def connect() -> Any:
    """Return a ``docker.APIClient`` of the engine that ``DOCKER_HOST`` or the default names.

    Raises:
        SandboxUnavailableError: The package ``docker`` is missing, or no engine answers.
    """
    try:
        import docker
        from docker.utils import kwargs_from_env
    except ImportError as error:
        raise SandboxUnavailableError(
            "Docker boxes need the package docker: pip install 'pivotrl-envs[docker]'"
        ) from error
    place = engine_host()
    try:
        return engine_client()(version="auto", timeout=REQUEST_TIMEOUT_S, **kwargs_from_env())
    except (docker.errors.DockerException, OSError) as error:
        raise SandboxUnavailableError(
            f"no Docker engine answers at {place} ({error}). {_HOW_TO_START}"
        ) from error


def find_image(engine: Any, image: str) -> Any:
    """Return what an engine says of an image.

    Raises:
        SandboxUnavailableError: It has none of that name, or does not answer any more.
    """
    import docker

    try:
        with translated(f"the image {image} cannot be looked at"):
            return engine.inspect_image(image)
    except SandboxError as error:
        if not isinstance(error.__cause__, docker.errors.ImageNotFound):
            raise
        raise SandboxUnavailableError(
            f"the Docker engine has no image {image!r}; fetch it with docker pull {image}, or "
            "build one from this machine's Python: python -m pivot_envs.sandbox build-image "
            f"{image}"
        ) from error


def find_network(engine: Any, network: str) -> Any:
    """Return what an engine says of a network, by its name.

    Raises:
        SandboxUnavailableError: It has none of that name, or does not answer any more.
    """
    with translated("the networks cannot be listed"):
        found = {one["Name"]: one for one in engine.networks()}
    if network not in found:
        raise SandboxUnavailableError(
            f"the Docker engine has no network {network!r}, only {', '.join(sorted(found))}; make "
            f"one with docker network create {network}, or leave the limit network at 'none'"
        )
    return found[network]


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the engine's errors into ours; ``doing`` says what was attempted.

    Raises:
        SandboxUnavailableError: The engine does not answer any more.
        SandboxError: It refuses.
    """
    import docker
    import requests

    try:
        yield
    except docker.errors.APIError as error:
        raise SandboxError(f"{doing}: {error.explanation or error}") from error
    except (requests.exceptions.RequestException, docker.errors.DockerException) as error:
        raise SandboxUnavailableError(
            f"{doing}: the Docker engine does not answer ({error}). {_HOW_TO_START}"
        ) from error


def _place() -> tuple[str, str, str]:
    """Return the names of this machine, of its boot and of this process's pid namespace."""
    machine = _text_of("/etc/machine-id") or os.uname().nodename
    boot = _text_of("/proc/sys/kernel/random/boot_id")
    return machine, boot, str(Path("/proc/self/ns/pid").stat().st_ino)


def _text_of(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text().strip()
    return ""


def _start_ticks(pid: int) -> int | None:
    """Return when a process started, or None if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
