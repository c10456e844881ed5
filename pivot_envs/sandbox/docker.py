"""DockerSandbox, a box that is a container of a Docker engine; needs an engine and an image."""

import logging
import weakref

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.agent.frames import Channel
from pivot_envs.sandbox.client import AgentSandbox
from pivot_envs.sandbox.container import Container
from pivot_envs.sandbox.container_pool import ContainerPool
from pivot_envs.sandbox.limits import Limits

_log = logging.getLogger(__name__)

DEFAULT_IMAGE = "pivotrl-envs"

_DEFAULT = Limits()
_LEAST_MEMORY_BYTES = 64 * 1024 * 1024


class DockerSandbox(AgentSandbox):
    """A box in a container of its own, which lives as long as the box is started.

    The container has no network unless one is named, a read-only root folder, ``/workspace`` and
    ``/tmp`` in memory, no way to gain privileges, and limits on memory, processes and processor
    time in sum. Commands run as the user 1000 without capabilities; the agent runs as the
    container's root with the few that it needs to look after that user's files and processes.
    The default seccomp and AppArmor profiles of the engine apply. The image needs bash and
    coreutils, and for test runs a ``python3`` (3.9 or newer) with pytest in its ``PATH``; where it
    has none, the agent runs on this machine's (``README.md`` tells the difference). Nothing is
    pulled. The workspace is empty at first, or what ``bake.bake_workspace`` put into the image.

    What is **not** stopped: holes in the kernel, which all containers share; reading what the
    image holds; and tested code that tampers, from inside, with the test run that it is part of.

    Needs the extra ``docker``. The engine is the one that ``DOCKER_HOST`` names. When this process
    ends, even by a kill, its containers end too; ``python -m pivot_envs.sandbox prune`` removes
    what is left, for instance by a program that a killed process had started with its descriptors.
    """

    def __init__(
        self,
        *,
        image: str = DEFAULT_IMAGE,
        memory_bytes: int = _DEFAULT.memory_bytes,
        pids_limit: int = _DEFAULT.processes,
        cpus: float | None = None,
        network: str = "none",
        max_file_bytes: int = _DEFAULT.file_bytes,
        max_output_bytes: int = _DEFAULT.output_bytes,
        spare_boxes: int = 0,
    ) -> None:
        """Prepare a box; nothing is started before ``start``.

        Args:
            image: Name of an image that the engine has.
            memory_bytes: Memory of the box in sum, at least 64 MiB; files count too, and the
                workspace takes at most half of it. The agent has 256 MiB on top.
            pids_limit: Most processes and threads that commands may have at a time.
            cpus: Processors' worth of time, such as 0.5; by default as much as there is.
            network: ``none``, or the name of a network of the engine.
            max_file_bytes: Largest file that a command can write.
            max_output_bytes: Output kept of a command; the middle of more is left out.
            spare_boxes: Containers kept ready in the background, from the first start on, for all
                boxes of this process with the same image and limits; the largest number counts.

        Raises:
            ValueError: A limit or ``spare_boxes`` is too low, or ``image`` is no name.
        """
        super().__init__(
            Limits(
                memory_bytes=memory_bytes,
                processes=pids_limit,
                file_bytes=max_file_bytes,
                output_bytes=max_output_bytes,
                cpus=cpus,
                network=network,
            )
        )
        if not isinstance(image, str) or not image.strip():
            raise ValueError(f"image must be the name of a Docker image, got {image!r}")
        if spare_boxes < 0:
            raise ValueError(f"spare_boxes must be at least 0, got {spare_boxes}")
        self._image = image
        self._spare_boxes = spare_boxes
        self._pool: ContainerPool | None = None
        self._leave: weakref.finalize[..., DockerSandbox] | None = None
        self._container: Container | None = None

    @property
    def container_id(self) -> str:
        """The container's id; empty unless the box runs."""
        return "" if self._container is None else self._container.id

    def require_tests(self) -> None:
        """Find out whether a running box has a Python for ``run_tests``.

        Raises:
            SandboxUnavailableError: Its image has none.
        """
        if self._container is not None and not self._container.has_python:
            raise SandboxUnavailableError(
                f"no tests can be run in the image {self._image}: it has no Python 3.9 or newer; "
                "use one that has it in its PATH, with pytest"
            )

    def set_limits(self, limits: Limits) -> None:
        """Use these limits from now on; a running box that has others is closed.

        Raises:
            ValueError: A Docker box cannot keep them.
        """
        if limits != self._limits:
            self._leave_pool()
        super().set_limits(limits)

    def close(self) -> None:
        """End every process and free everything, spares too; may be called twice."""
        super().close()
        self._leave_pool()

    def _leave_pool(self) -> None:
        self._pool = None
        if self._leave is not None:
            self._leave()

    def _check_limits(self, limits: Limits) -> None:
        if limits.memory_bytes < _LEAST_MEMORY_BYTES:
            raise ValueError(
                f"a Docker box needs memory_bytes of at least {_LEAST_MEMORY_BYTES}, "
                f"got {limits.memory_bytes}"
            )

    def _open(self) -> tuple[Channel, str]:
        if self._pool is None and self._spare_boxes:
            self._pool = ContainerPool.join(self._image, self._limits, self._spare_boxes)
            self._leave = weakref.finalize(self, self._pool.leave, self._spare_boxes)
        if self._pool is None:
            self._container = Container(self._image, self._limits)
        else:
            self._container = self._pool.take()
        _log.info("a box started at level docker (container %s)", self._container.id[:12])
        return self._container.channel, "docker"

    def _shut(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.remove()
