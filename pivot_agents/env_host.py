"""EnvHost, what holds one environment for a pool: in this process, in another, on another machine.

This module is what a worker process loads, so it imports neither torch nor a policy.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, cast

import gymnasium as gym

from pivot_envs import Effect, Message, Snapshot, ToolSpec
from pivot_envs.errors import UnsavableError

MakeEnv = Callable[[], gym.Env[str, str]]
"""Makes one environment, wrapped or not."""

WrapEnv = Callable[[gym.Env[str, str]], gym.Env[str, str]]
"""Wraps an environment."""


@dataclass(frozen=True, slots=True)
class Start:
    """How an episode begins: the arguments of ``reset``, and the luck of the policy in it."""

    seed: int | None = None
    options: Mapping[str, Any] | None = None
    draw_seed: int | None = None
    """Seed of the policy's random draws, in [0, 2**64); ``None`` leaves them to the policy."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reset or a step led to."""

    observation: str
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]
    messages: tuple[Message, ...]
    """The conversation after it."""
    tools: tuple[ToolSpec, ...]
    env_id: str = ""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that the environment was made with."""
    snapshot: Snapshot | None = None
    """The state before a step, if recording."""
    effect: Effect | None = None
    """What a step did, if recording."""
    wall_s: float = field(default=0.0, compare=False)

    @property
    def is_over(self) -> bool:
        """Whether the episode has ended."""
        return self.terminated or self.truncated


def wrapped(make_env: MakeEnv, wrap: WrapEnv) -> MakeEnv:
    """Return what makes the same environment and wraps it, in any process."""
    return partial(_make_wrapped, make_env, wrap)


class EnvHost(Protocol):
    """Holds one environment and answers one call at a time."""

    def reset(self, start: Start) -> Outcome:
        """Begin an episode."""
        ...

    def step(self, action: str, record: bool) -> Outcome:
        """Act; ``record`` also takes the snapshot before the action and its effect."""
        ...

    def close(self) -> None:
        """Close the environment."""
        ...


class LocalHost:
    """Holds its environment in this process."""

    def __init__(self, make_env: MakeEnv) -> None:
        """Make the environment."""
        self._env = make_env()

    def reset(self, start: Start) -> Outcome:
        """Begin an episode."""
        began = time.perf_counter()
        options = None if start.options is None else dict(start.options)
        observation, info = self._env.reset(seed=start.seed, options=options)
        return _outcome(self._env, began, observation, 0.0, False, False, info)

    def step(self, action: str, record: bool) -> Outcome:
        """Act."""
        env, began = self._env, time.perf_counter()
        snapshot = _snapshot(env) if record else None
        result = env.step(action)
        is_readable = record and result[4].get("infra_error") is None
        effect = env.get_wrapper_attr("effect")() if is_readable else None
        return _outcome(env, began, *result, snapshot=snapshot, effect=effect)

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


def _snapshot(env: gym.Env[str, str]) -> Snapshot | None:
    try:
        return cast(Snapshot, env.get_wrapper_attr("snapshot")())
    except UnsavableError:
        # The agent made something that no snapshot can hold; that is not the machinery's failure.
        return None


def _make_wrapped(make_env: MakeEnv, wrap: WrapEnv) -> gym.Env[str, str]:
    return wrap(make_env())


def _outcome(
    env: gym.Env[str, str],
    began: float,
    observation: str,
    reward: Any,
    terminated: bool,
    truncated: bool,
    info: Mapping[str, Any],
    *,
    snapshot: Snapshot | None = None,
    effect: Effect | None = None,
) -> Outcome:
    spec = env.unwrapped.spec
    return Outcome(
        observation=observation,
        reward=float(reward),
        terminated=terminated,
        truncated=truncated,
        info=info,
        messages=tuple(env.get_wrapper_attr("messages")),
        tools=tuple(env.get_wrapper_attr("tools")),
        env_id=type(env.unwrapped).__name__ if spec is None else spec.id,
        env_kwargs={} if spec is None else spec.kwargs,
        snapshot=snapshot,
        effect=effect,
        wall_s=time.perf_counter() - began,
    )
