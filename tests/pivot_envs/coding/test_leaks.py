"""Many short episodes leave nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.errors import SandboxUnavailableError

pytestmark = pytest.mark.timeout(600)

COUNTS = ("descriptors", "threads", "processes", "mounts", "temporary_files")
PROGRAM = Path(__file__).parent / "programs" / "episodes.py"
ROOT = Path(__file__).parents[3]


def grow(
    tasks: Path, folder: Path, warm_up: int, episodes: int, reopen_every: int = 10
) -> dict[str, int]:
    """Return what grew in so many episodes, after others have filled the caches.

    They run in a process of their own: the browser of other tests has processes that come and go.
    """
    env = CodingEnv(tasks=str(tasks))
    try:
        env.reset(seed=0)
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    finally:
        env.close()
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tasks), *map(str, (warm_up, episodes, reopen_every))],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder),
            "XDG_CACHE_HOME": str(tasks.parent / "cache"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    sys.stdout.write(f"{episodes} episodes\n  before {before}\n  after  {after}\n")
    return {name: after[name] - before[name] for name in after}


def test_forty_episodes_leave_nothing_behind(tiny_tasks: Path, tmp_path: Path) -> None:
    grown = grow(tiny_tasks, tmp_path, 10, 40)
    assert {name: grown[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0)
    assert grown["memory_kb"] < 4_000
    assert grown["box_memory_kb"] < 8_000


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_thousand_episodes_leave_nothing_behind(tiny_tasks: Path, tmp_path: Path) -> None:
    grown = grow(tiny_tasks, tmp_path, 200, 2_000)
    assert {name: grown[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0)
    assert grown["memory_kb"] < 8_000
    assert grown["box_memory_kb"] < 8_000


def test_a_closed_environment_leaves_no_process_and_no_descriptor(
    tiny_tasks: Path, tmp_path: Path
) -> None:
    grown = grow(tiny_tasks, tmp_path, 1, 3, reopen_every=1)
    assert {name: grown[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0)
