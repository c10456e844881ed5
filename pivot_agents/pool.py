"""EnvPool, a number of environments that are reset and stepped side by side."""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym

from pivot_envs import Effect, Message, Snapshot, ToolSpec
from pivot_envs.errors import InfraError

_logger = logging.getLogger(__name__)


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


class EnvPool:
    """Environments of one kind in numbered slots.

    Slots run in threads, not processes: a coding or web environment waits for a sandbox or a
    browser that is a process of its own, so the interpreter's lock is free meanwhile.

    An ``InfraError`` becomes a truncated outcome with ``info["infra_error"]``, and the slot gets
    a new environment; any other exception is a bug and is raised.
    """

    def __init__(self, make_env: Callable[[], gym.Env[str, str]], size: int) -> None:
        """Prepare a pool; environments are made when their slot is first reset.

        Args:
            make_env: Makes one environment, wrapped or not.
            size: Number of slots.

        Raises:
            ValueError: ``size`` is below 1.
        """
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.size = size
        self._make_env = make_env
        self._envs: dict[int, gym.Env[str, str]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def reset(self, starts: Mapping[int, Start]) -> dict[int, Outcome]:
        """Begin an episode in each named slot."""
        return self._run({slot: _reset(start) for slot, start in starts.items()})

    def step(self, actions: Mapping[int, str], *, record: bool = False) -> dict[int, Outcome]:
        """Act in each named slot.

        Args:
            actions: Action text by slot.
            record: Also take the snapshot before each action and its effect.
        """
        return self._run({slot: _step(action, record) for slot, action in actions.items()})

    def close(self) -> None:
        """Close every environment; the pool can be used again, and closed twice."""
        envs, self._envs = list(self._envs.values()), {}
        for env in envs:
            env.close()
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def __enter__(self) -> "EnvPool":
        """Return the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the pool."""
        self.close()

    def _run(self, jobs: Mapping[int, "_Job"]) -> dict[int, Outcome]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.size, thread_name_prefix="env-pool")
        futures = {slot: self._threads.submit(self._turn, slot, job) for slot, job in jobs.items()}
        # Every slot is waited for before the first exception is raised, so that none is mid-step.
        errors = [future.exception() for future in futures.values()]
        if error := next((error for error in errors if error is not None), None):
            raise error
        return {slot: future.result() for slot, future in futures.items()}

    def _turn(self, slot: int, job: "_Job") -> Outcome:
        try:
            if slot not in self._envs:
                self._envs[slot] = self._make_env()
            outcome = job(self._envs[slot])
        except InfraError as error:
            reason = f"{type(error).__name__}: {error}"
            info = {"infra_error": reason, "action_error": None, "is_success": False, "task_id": ""}
            outcome = Outcome("", 0.0, False, True, info, (), ())
        if outcome.info.get("infra_error") is not None:
            self._discard(slot)
        return outcome

    def _discard(self, slot: int) -> None:
        env = self._envs.pop(slot, None)
        try:
            if env is not None:
                env.close()
        except InfraError as error:
            _logger.warning("closing a failed environment failed as well: %s", error)


_Job = Callable[[gym.Env[str, str]], Outcome]


def _reset(start: Start) -> _Job:
    def job(env: gym.Env[str, str]) -> Outcome:
        began = time.perf_counter()
        options = None if start.options is None else dict(start.options)
        observation, info = env.reset(seed=start.seed, options=options)
        return _outcome(env, began, observation, 0.0, False, False, info)

    return job


def _step(action: str, record: bool) -> _Job:
    def job(env: gym.Env[str, str]) -> Outcome:
        began = time.perf_counter()
        snapshot = env.get_wrapper_attr("snapshot")() if record else None
        result = env.step(action)
        is_readable = record and result[4].get("infra_error") is None
        effect = env.get_wrapper_attr("effect")() if is_readable else None
        return _outcome(env, began, *result, snapshot=snapshot, effect=effect)

    return job


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
