"""States that the wrappers' tests start from."""

import pytest

from pivot_envs.drill import DrillEnv
from pivot_envs.snapshot import Snapshot


@pytest.fixture(scope="session")
def drill_snapshot() -> Snapshot:
    """The beginning of a drill."""
    env = DrillEnv()
    env.reset(options={"task_id": "reverse-3-1"})
    return env.snapshot()
