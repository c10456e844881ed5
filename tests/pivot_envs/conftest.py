import contextlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from filelock import FileLock

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox import image
from pivot_envs.sandbox.engine import connect
from pivot_envs.sandbox.libraries import shared_libraries
from pivot_envs.snapshot import Message, Snapshot, sha256


@pytest.fixture(scope="session")
def make_snapshot() -> Callable[..., Snapshot]:
    """Return a function from blob contents, and optionally a turn, to a snapshot."""

    def make(*contents: bytes, turn: int = 0) -> Snapshot:
        return Snapshot.create(
            env_id="pivot/Some-v0",
            env_kwargs={},
            task_id="a",
            task_hash=sha256(b"a"),
            elapsed_turns=turn,
            observation="\ud800",
            messages=(Message("user", "do"),),
            fidelity="exact",
            state={"env": {}},
            blobs={sha256(content): content for content in contents},
        )

    return make


@pytest.fixture(scope="session")
def docker_image() -> str:
    """Return the name of an image of this very Python and builder; skip without an engine."""
    try:
        engine = connect()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    builder = f"{sys.version} {pytest.__version__} {Path(image.__file__).read_text()}"
    name = f"pivotrl-envs-tests:{sha256(builder.encode())[:16]}"
    # Once for all test processes: they share the engine.
    lock = FileLock(Path(tempfile.gettempdir()) / f"{name.replace(':', '-')}.lock")
    with contextlib.closing(engine), lock:
        if not engine.images(name):
            image.build_image(name)
    return name


@pytest.fixture(scope="session")
def image_of_programs(docker_image: str) -> Callable[..., AbstractContextManager[str]]:
    """Return what makes an image of programs of this machine, and takes it away in the end."""

    @contextlib.contextmanager
    def make(purpose: str, programs: Sequence[str]) -> Iterator[str]:
        # Test processes side by side have an image each: the first to end takes its own away only.
        tag = f"{purpose}-{os.getpid()}"
        found = [Path(shutil.which(name, path="/usr/bin:/bin") or "/lost") for name in programs]
        files = {f"bin/{path.name}": path for path in found}
        files |= {str(path).lstrip("/"): path for _, path in shared_libraries(found)}
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w", dereference=True) as archive:
            for name, path in files.items():
                archive.add(path, name)
        with contextlib.closing(connect()) as engine:
            engine.import_image_from_data(content.getvalue(), "pivotrl-envs-tests", tag)
            try:
                yield f"pivotrl-envs-tests:{tag}"
            finally:
                engine.remove_image(f"pivotrl-envs-tests:{tag}", force=True)

    return make


@pytest.fixture(scope="session")
def bare_image(image_of_programs: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    """An image with bash and coreutils, and what the sandbox's contract is checked with."""
    coreutils = "cat chmod dd head id ln ls mkdir od readlink rm seq sleep stat tail touch tr wc"
    with image_of_programs("no-python", ["bash", *coreutils.split(), "grep", "setsid"]) as image:
        yield image
