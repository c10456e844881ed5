"""Every registered environment keeps both contracts, Gymnasium's and ours."""

import functools
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

import pivot_envs
from pivot_envs.errors import BrowserUnavailableError, SandboxUnavailableError, SourceError
from pivot_envs.testing import check_pivot_env

IDS = sorted(env_id for env_id, spec in gym.registry.items() if spec.namespace == "pivot")


def make_or_skip(env_id: str) -> "gym.Env[Any, Any]":
    """Make an environment and start it once, or skip the test with the reason."""
    try:
        env = gym.make(env_id)
        env.reset(seed=0)
    except (
        ImportError,
        BrowserUnavailableError,
        SandboxUnavailableError,
        SourceError,
    ) as reason:
        pytest.skip(f"{env_id} cannot run here: {reason}")
    return env


def test_importing_registers() -> None:
    assert pivot_envs.__all__
    assert "pivot/Drill-v0" in IDS


@pytest.mark.parametrize("env_id", IDS)
def test_gymnasium_finds_no_fault(env_id: str) -> None:
    check_env(make_or_skip(env_id).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_the_pivot_contract_is_kept(env_id: str) -> None:
    make_or_skip(env_id).close()
    check_pivot_env(functools.partial(gym.make, env_id))
