import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.base import SandboxState
from pivot_envs.sandbox.embedded import EmbeddedSandbox

EMPTY = SandboxState((), "", {})


@pytest.fixture(scope="module")
def shared_box() -> Iterator[EmbeddedSandbox]:
    sandbox = EmbeddedSandbox()
    try:
        sandbox.start()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    with sandbox:
        yield sandbox


@pytest.fixture
def box(shared_box: EmbeddedSandbox) -> EmbeddedSandbox:
    shared_box.start()
    shared_box.load(EMPTY)
    return shared_box


@pytest.fixture(scope="session")
def list_scratch() -> str:
    """A command that lists /tmp but for an interpreter that lies there and is shown read-only."""
    folders = [Path(prefix).parts for prefix in (sys.prefix, sys.base_prefix)]
    shown = [parts[2] for parts in folders if parts[1] == "tmp"]
    return " | ".join(["ls /tmp", *(f"grep -vxF {name}" for name in shown)])
