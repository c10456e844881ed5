"""Many short episodes leave nothing behind."""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import gymnasium as gym
import pytest

from benchmarks.leaks import Figures, run_episodes, settle
from pivot_envs.errors import SandboxUnavailableError

pytestmark = pytest.mark.timeout(600)

COUNTS = ("descriptors", "threads", "processes", "mounts", "temporary_files")


@pytest.fixture
def env(
    tiny_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator["gym.Env[str, str]"]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    env = gym.make("pivot/Coding-v0", tasks=str(tiny_tasks), command_timeout_s=20.0)
    try:
        env.reset(seed=0)
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    yield env
    env.close()


def grow(env: "gym.Env[str, str]", warm_up: int, episodes: int) -> dict[str, int]:
    """Return what grew in so many episodes, after others have filled the caches."""
    run_episodes(env, warm_up, reopen_every=10)
    settle(env)
    before = Figures.measure()
    run_episodes(env, episodes, reopen_every=10)
    settle(env)
    after = Figures.measure()
    sys.stdout.write(f"{episodes} episodes\n  before {before}\n  after  {after}\n")
    return {name: value - asdict(before)[name] for name, value in asdict(after).items()}


def test_forty_episodes_leave_nothing_behind(env: "gym.Env[str, str]") -> None:
    grown = grow(env, 10, 40)
    assert {name: grown[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0)
    assert grown["memory_kb"] < 4_000
    assert grown["box_memory_kb"] < 8_000


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_thousand_episodes_leave_nothing_behind(env: "gym.Env[str, str]") -> None:
    grown = grow(env, 200, 2_000)
    assert {name: grown[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0)
    assert grown["memory_kb"] < 8_000
    assert grown["box_memory_kb"] < 8_000


def test_a_closed_environment_leaves_no_process_and_no_descriptor(env: "gym.Env[str, str]") -> None:
    env.close()
    before = Figures.measure()
    run_episodes(env, 3, reopen_every=1)
    after = Figures.measure()
    assert {name: asdict(after)[name] for name in COUNTS} == {
        name: asdict(before)[name] for name in COUNTS
    }
