from collections.abc import Iterator

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
