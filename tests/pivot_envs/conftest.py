from collections.abc import Callable

import pytest

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
