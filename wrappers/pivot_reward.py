"""PivotReward, which rewards the first action after a pivot as a verifier judges it."""

from collections.abc import Mapping
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from pivot_envs.core import PivotEnv
from pivot_envs.errors import ActionError, InfraError
from pivot_envs.tools import parse_action
from wrappers.attempt import Attempt, Verifier
from wrappers.pivot import Pivot
from wrappers.pivot_reset import core_below


class PivotReward(gym.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Reward the first action after a pivot as a verifier judges it.

    Later actions earn 0.0. ``info["is_success"]`` tells whether the first action earned the whole
    reward, until the next reset. An episode that does not start at a pivot keeps its rewards.

    Where the verifier is undecided, the reward is 0.0 and ``info["undecided"]`` is true, which
    masks the episode. Where the machinery fails, the reward is 0.0 and the step comes back
    truncated with ``info["infra_error"]``, to be masked as well.
    """

    def __init__(self, env: gym.Env[str, str], verifier: Verifier) -> None:
        """Wrap an environment.

        Args:
            env: An environment with a PivotResetWrapper inside and a PivotEnv at its core.
            verifier: What judges the first action, such as those in ``wrappers.verifiers``.

        Raises:
            ValueError: One of the two is missing inside ``env``.
        """
        RecordConstructorArgs.__init__(self, verifier=verifier)
        gym.Wrapper.__init__(self, env)
        self._core = core_below(type(self).__name__, env)
        self._verifier = verifier
        self._before = ""
        self._verdict: dict[str, Any] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Reset the environment; the next action is the first.

        Raises:
            InfraError: The state could not be restored or read.
        """
        self._verdict = None
        observation, info = self.env.reset(seed=seed, options=options)
        if self.env.get_wrapper_attr("pivot") is not None:
            self._before = self._core.effect().state_digest
        return observation, info

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment and replace the reward.

        Raises:
            ValueError: The verifier gave no reward in [0, 1].
        """
        observation, reward, terminated, truncated, info = self.env.step(action)
        pivot: Pivot | None = self.env.get_wrapper_attr("pivot")
        if pivot is None:
            return observation, reward, terminated, truncated, info
        reward = 0.0
        if self._verdict is None:
            try:
                judged = self._judge(pivot, action, info)
            except InfraError as error:
                judged, truncated = 0.0, True
                info = {**info, "infra_error": f"{type(error).__name__}: {error}"}
            reward = 0.0 if judged is None else judged
            self._verdict = {"is_success": reward >= 1.0, "undecided": judged is None}
        return observation, reward, terminated, truncated, {**info, **self._verdict}

    def _judge(self, pivot: Pivot, action: str, info: dict[str, Any]) -> float | None:
        if info["infra_error"] is not None:
            return 0.0
        reward = self._verifier(pivot, make_attempt(self._core, action, info, self._before))
        if reward is not None and not 0.0 <= reward <= 1.0:
            raise ValueError(
                f"a verifier must return a reward in [0, 1] or None, {self._verifier} gave "
                f"{reward!r}"
            )
        return None if reward is None else float(reward)


def make_attempt(core: PivotEnv, action: str, info: Mapping[str, Any], before: str) -> Attempt:
    """Return what the last action did, for a verifier.

    Args:
        core: The environment, after the action.
        action: The action text.
        info: The step's.
        before: Digest of the state before the action.

    Raises:
        InfraError: The state could not be read.
    """
    try:
        call = parse_action(action, core.tools)
    except ActionError:
        call = None
    return Attempt(action, call, info["action_error"], core.effect(), before)
