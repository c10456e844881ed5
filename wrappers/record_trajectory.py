"""RecordTrajectory, which keeps what happens in an environment as trajectories."""

import json
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from pivot_envs.core import Effect, PivotEnv
from pivot_envs.errors import InfraError, UnsavableError
from pivot_envs.snapshot import Snapshot, sha256
from pivot_envs.trajectory import Trajectory, Transition


class RecordTrajectory(gym.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Record every episode as a Trajectory.

    An episode that is reset before its end is kept as far as it went; one without any action is
    not kept. A trajectory's id is made of its task, its content and its number in this wrapper.
    """

    def __init__(self, env: gym.Env[str, str], *, snapshots: bool = False) -> None:
        """Wrap an environment.

        Args:
            env: An environment with a PivotEnv at its core.
            snapshots: Whether to take a snapshot before, and the effect after every action.

        Raises:
            ValueError: The core is no PivotEnv.
        """
        RecordConstructorArgs.__init__(self, snapshots=snapshots)
        gym.Wrapper.__init__(self, env)
        if not isinstance(env.unwrapped, PivotEnv):
            raise ValueError(f"RecordTrajectory needs a PivotEnv at the core, got {env.unwrapped}")
        self._core = env.unwrapped
        self._snapshots = snapshots
        self._finished: list[Trajectory] = []
        self._transitions: list[Transition] = []
        self._observation = ""
        self._task_id = ""
        self._seed: int | None = None

    @property
    def trajectories(self) -> tuple[Trajectory, ...]:
        """All recorded episodes, in order, the running one as far as it went."""
        running = (self._trajectory(),) if self._transitions else ()
        return (*self._finished, *running)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Reset the environment and begin a new record."""
        self._finish()
        self._observation, info = self.env.reset(seed=seed, options=options)
        self._task_id = info["task_id"]
        self._seed = seed
        return self._observation, info

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment and record the turn."""
        snapshot = self._take_snapshot()
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._transitions.append(
            Transition(
                observation=self._observation,
                action=action,
                next_observation=observation,
                reward=float(reward),
                terminated=terminated,
                truncated=truncated,
                info=dict(info),
                snapshot=snapshot,
                effect=self._take_effect(),
            )
        )
        self._observation = observation
        if terminated or truncated:
            self._finish()
        return observation, reward, terminated, truncated, info

    def _take_snapshot(self) -> Snapshot | None:
        if not self._snapshots:
            return None
        try:
            return self._core.snapshot()
        except (InfraError, UnsavableError):
            # The step that follows meets the same failure and reports it in its info, or the agent
            # made something that no snapshot can hold.
            return None

    def _take_effect(self) -> Effect | None:
        if not self._snapshots:
            return None
        try:
            return self._core.effect()
        except InfraError:
            return None

    def _finish(self) -> None:
        if self._transitions:
            self._finished.append(self._trajectory())
        self._transitions = []

    def _trajectory(self) -> Trajectory:
        spec = self._core.spec
        actions = [[turn.observation, turn.action] for turn in self._transitions]
        content = sha256(json.dumps([self._task_id, actions]).encode("ascii"))
        return Trajectory(
            env_id=spec.id if spec is not None else type(self._core).__name__,
            env_kwargs=dict(spec.kwargs) if spec is not None else {},
            task_id=self._task_id,
            seed=self._seed,
            transitions=tuple(self._transitions),
            trajectory_id=f"{self._task_id}#{content[:12]}.{len(self._finished)}",
        )
