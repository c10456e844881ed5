"""FunctionalReward, which rewards doing what the demonstrated action did, not saying it."""

from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from pivot_envs.core import PivotEnv
from pivot_envs.errors import InfraError
from wrappers.pivot import Pivot


class FunctionalReward(gym.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Reward the first action after a pivot by its effect.

    The reward is 1.0 if the executed action's effect covers that of the demonstrated one
    (``Effect.covers``: same state, same end, no less information), else 0.0. An action that is no
    valid call earns 0.0. Later actions earn 0.0. ``info["is_success"]`` tells whether the first
    action earned the reward, until the next reset. An episode that does not start at a pivot keeps
    its rewards.

    Where the machinery fails, the reward is 0.0 and the step comes back truncated with
    ``info["infra_error"]``, to be masked.
    """

    def __init__(self, env: gym.Env[str, str]) -> None:
        """Wrap an environment.

        Args:
            env: An environment with a PivotResetWrapper inside and a PivotEnv at its core.

        Raises:
            ValueError: One of them is missing.
        """
        RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        if not env.has_wrapper_attr("pivot"):
            raise ValueError(f"FunctionalReward needs a PivotResetWrapper inside, got {env}")
        if not isinstance(env.unwrapped, PivotEnv):
            raise ValueError(f"FunctionalReward needs a PivotEnv at the core, got {env.unwrapped}")
        self._core = env.unwrapped
        self._earned: bool | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Reset the environment; the next action is the first."""
        self._earned = None
        return self.env.reset(seed=seed, options=options)

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment and replace the reward."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        pivot: Pivot | None = self.env.get_wrapper_attr("pivot")
        if pivot is None:
            return observation, reward, terminated, truncated, info
        reward = 0.0
        if self._earned is None:
            try:
                self._earned = info["action_error"] is None and self._covers(pivot, info)
            except InfraError as error:
                self._earned = False
                truncated = True
                info = {**info, "infra_error": f"{type(error).__name__}: {error}"}
            reward = float(self._earned)
        return observation, reward, terminated, truncated, {**info, "is_success": self._earned}

    def _covers(self, pivot: Pivot, info: dict[str, Any]) -> bool:
        return info["infra_error"] is None and self._core.effect().covers(pivot.effect)
