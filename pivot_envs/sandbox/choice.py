"""SandboxChoice, which kind of box an environment uses, and how it is set up."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.base import Sandbox
from pivot_envs.sandbox.docker import DEFAULT_IMAGE, DockerSandbox
from pivot_envs.sandbox.embedded import EmbeddedSandbox
from pivot_envs.sandbox.engine import connect, find_image, find_network
from pivot_envs.sandbox.limits import Limits

SANDBOXES = ("embedded", "docker")


@dataclass(frozen=True, slots=True)
class SandboxChoice:
    """A kind of box by its name.

    Raises:
        ValueError: The name is unknown, or an argument is none of that kind's.
    """

    name: str = "embedded"
    """``embedded`` or ``docker``."""
    image: str | None = None
    """Image of a Docker box; by default the one that ``build-image`` makes."""
    limits: Limits = field(default_factory=Limits)
    """What commands may use."""
    spare_boxes: int = 0
    """Docker boxes that are kept ready."""
    unsafe: bool = False
    """Whether an embedded box may run without isolation where the machine allows none."""
    hidden_packages: tuple[str, ...] = ()
    """Import names of packages of which an embedded box shows no installed copy."""

    @classmethod
    def of(
        cls,
        name: str,
        image: str | None,
        limits: Mapping[str, Any] | None,
        spare_boxes: int,
        unsafe: bool,
    ) -> "SandboxChoice":
        """Return a choice; ``limits`` are those that differ from the defaults.

        Raises:
            ValueError: As above, or a limit is unknown or out of range.
        """
        if limits is not None and not isinstance(limits, Mapping):
            raise ValueError(f"limits must map names of limits to values, got {limits!r:.60}")
        whole = Limits.from_json({**Limits().as_json(), **(limits or {})})
        return cls(name, image, whole, spare_boxes, unsafe)

    def __post_init__(self) -> None:
        if self.name not in SANDBOXES:
            raise ValueError(f"sandbox must be one of {', '.join(SANDBOXES)}, got {self.name!r}")
        if self.name != "docker" and (self.image is not None or self.spare_boxes):
            raise ValueError(
                f"image={self.image!r} and spare_boxes={self.spare_boxes} are for "
                f"sandbox='docker', got sandbox={self.name!r}"
            )
        if self.unsafe and self.name != "embedded":
            raise ValueError(f"unsafe=True is for embedded boxes, not for sandbox={self.name!r}")

    def with_image(self, image: str | None) -> "SandboxChoice":
        """Return the same choice with a task's own image, if it is Docker's and names none."""
        if self.name != "docker" or self.image is not None or image is None:
            return self
        return replace(self, image=image)

    def check(self, task_images: Iterable[str | None]) -> None:
        """Find out whether the Docker engine has what boxes need; nothing is started.

        Embedded boxes need none of it. Where tasks name images of their own, one of these is
        enough: the others are missed when their task begins.

        Args:
            task_images: For each task, the image that it names, or None.

        Raises:
            SandboxUnavailableError: The package ``docker`` is missing, no engine answers, or it
                lacks the network or every image; the message says what to do.
        """
        if self.name != "docker":
            return
        lacking: SandboxUnavailableError | None = None
        with contextlib.closing(connect()) as engine:
            if self.limits.network != "none":
                find_network(engine, self.limits.network)
            for image in dict.fromkeys(self.with_image(each).image for each in task_images):
                try:
                    find_image(engine, image or DEFAULT_IMAGE)
                    return
                except SandboxUnavailableError as error:
                    lacking = lacking or error
        if lacking is not None:
            raise lacking

    def make(self) -> Sandbox:
        """Return such a box, which is not started yet.

        Raises:
            ValueError: A box of this kind cannot keep the limits.
        """
        box: Sandbox
        if self.name == "docker":
            image = self.image or DEFAULT_IMAGE
            box = DockerSandbox(image=image, spare_boxes=self.spare_boxes)
        else:
            hidden = self.hidden_packages
            box = EmbeddedSandbox(unsafe=self.unsafe, hidden_packages=hidden)
        box.set_limits(self.limits)
        return box
