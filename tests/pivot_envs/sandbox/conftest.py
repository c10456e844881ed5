import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.base import Sandbox, SandboxState
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.embedded import EmbeddedSandbox

EMPTY = SandboxState((), "", {})


@pytest.fixture(
    scope="module", params=["embedded", pytest.param("docker", marks=pytest.mark.docker)]
)
def make_box(request: pytest.FixtureRequest) -> Callable[..., Sandbox]:
    """Return a function that makes boxes of one kind; skip where there can be none."""
    if request.param == "docker":
        image = request.getfixturevalue("docker_image")
        return lambda **limits: DockerSandbox(image=image, **limits)
    try:
        with EmbeddedSandbox():
            return EmbeddedSandbox
    except SandboxUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def shared_box(make_box: Callable[..., Sandbox]) -> Iterator[Sandbox]:
    with make_box() as sandbox:
        yield sandbox


@pytest.fixture
def box(shared_box: Sandbox) -> Sandbox:
    shared_box.start()
    shared_box.load(EMPTY)
    return shared_box


@pytest.fixture(scope="session")
def list_scratch() -> str:
    """A command that lists /tmp but for an interpreter that lies there and is shown read-only."""
    folders = [Path(prefix).parts for prefix in (sys.prefix, sys.base_prefix)]
    shown = [parts[2] for parts in folders if parts[1] == "tmp"]
    return " | ".join(["ls /tmp", *(f"grep -vxF {name}" for name in shown)])
