import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox import image
from pivot_envs.sandbox.engine import connect
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
    with contextlib.closing(engine):
        if not engine.images(name):
            image.build_image(name)
    return name
