"""The usual way to save and resume a container: ``docker commit``, then a container of that image.

It keeps files only: the shell, its variables and its folder are lost.
"""

import contextlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

from pivot_envs.sandbox.engine import OWNER_LABEL, Owner, connect

_NAME = "pivotrl-envs-benchmark"


class CommittedContainer:
    """A container with files in ``/workspace``, which is committed and run again."""

    def __init__(self, engine: Any, image: str, files: Mapping[str, bytes]) -> None:
        """Start it."""
        self._engine = engine
        self._images = 0
        self.id = self._started(image)
        engine.put_archive(self.id, "/workspace", _archive(files))

    def write(self, path: str, content: bytes) -> None:
        """Write a file, as an edit between two commits."""
        self._engine.put_archive(self.id, "/workspace", _archive({path: content}))

    def commit(self) -> str:
        """Save the container; return the image's name."""
        self._images += 1
        self._engine.commit(self.id, repository=_NAME, tag=str(self._images))
        return f"{_NAME}:{self._images}"

    def run(self, image: str) -> str:
        """Resume: start a container of a saved image; return its id."""
        return self._started(image)

    def remove(self, container: str = "", image: str = "") -> None:
        """Remove a resumed container or a saved image."""
        if container:
            self._engine.remove_container(container, force=True)
        if image:
            self._engine.remove_image(image, force=True)

    def _started(self, image: str) -> str:
        created = self._engine.create_container(
            image,
            entrypoint=["sleep", "infinity"],
            user="0:0",
            labels={OWNER_LABEL: Owner.current().text()},
            host_config=self._engine.create_host_config(
                network_mode="none", cap_drop=["ALL"], security_opt=["no-new-privileges"]
            ),
        )
        self._engine.start(created["Id"])
        return str(created["Id"])


@contextlib.contextmanager
def committed_container(image: str, files: Mapping[str, bytes]) -> Iterator[CommittedContainer]:
    """Start a container for a while."""
    with contextlib.closing(connect()) as engine:
        container = CommittedContainer(engine, image, files)
        try:
            yield container
        finally:
            container.remove(container=container.id)


def _archive(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()
