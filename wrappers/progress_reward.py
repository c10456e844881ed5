"""ProgressReward, which rewards an action after which less of the demonstration is needed."""

from collections.abc import Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from pivot_envs.core import PivotEnv
from pivot_envs.errors import ActionError
from pivot_envs.snapshot import Message
from pivot_envs.tools import ToolCall, parse_action
from wrappers.pivot import Pivot
from wrappers.pivot_reset import core_below


class ProgressReward(gym.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Reward one action at a pivot by what is left to do after it; the episode ends with it.

    The reward is 1.0 if the action solved the task, or if the actions that the demonstration needs
    from the pivot on (``Pivot.rest``) solve it with one of them left out: the one that was taken
    earlier than in the demonstration, else the demonstrated one, in whose place it was taken. They
    are executed after it. So another order, another way to do the same, and skipping a detour are
    paid; detours, idling, and what has to be undone are not.

    An episode that does not start at a pivot keeps its rewards. A pivot whose rest is not known
    leaves every action undecided (``info["undecided"]``). Where the machinery fails,
    ``info["infra_error"]`` says so, and the reward is 0.0 and to be masked.
    """

    def __init__(self, env: gym.Env[str, str]) -> None:
        """Wrap an environment.

        Args:
            env: An environment with a PivotResetWrapper inside and a PivotEnv at its core.

        Raises:
            ValueError: One of the two is missing inside ``env``.
        """
        RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self._core = core_below(type(self).__name__, env)
        self._messages: tuple[Message, ...] | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation of this episode, without what was executed to judge it."""
        return self._core.messages if self._messages is None else self._messages

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Reset the environment."""
        self._messages = None
        return self.env.reset(seed=seed, options=options)

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take the action, execute what is left to do after it, and end the episode.

        Raises:
            gymnasium.error.ResetNeeded: The episode is over.
        """
        pivot: Pivot | None = self.env.get_wrapper_attr("pivot")
        if pivot is None:
            return self.env.step(action)
        if self._messages is not None:
            raise gym.error.ResetNeeded("call reset() before step(): one action was judged")
        observation, _, terminated, truncated, info = self.env.step(action)
        self._messages = self._core.messages
        is_paid = terminated and bool(info["is_success"])
        if not (terminated or truncated) and info["action_error"] is None and pivot.rest:
            is_paid, failure = self._finish(_left_to_do(self._core, pivot.rest, action))
            info = {**info, "infra_error": failure}
        info = {**info, "is_success": is_paid, "undecided": not pivot.rest}
        return observation, float(is_paid), terminated, not terminated, info

    def _finish(self, actions: Sequence[str]) -> tuple[bool, str | None]:
        """Execute the actions; return whether they solve the task, and the machinery's failure."""
        for action in actions:
            _, _, terminated, truncated, info = self.env.step(action)
            if info["infra_error"] is not None:
                return False, str(info["infra_error"])
            if terminated or truncated:
                return terminated and bool(info["is_success"]), None
        return False, None


def _left_to_do(core: PivotEnv, rest: Sequence[str], action: str) -> tuple[str, ...]:
    """Return the needed actions without the one that ``action`` is, else without the first."""
    call = parse_action(action, core.tools)
    same = [number for number, other in enumerate(rest) if _call(core, other) == call]
    done = same[0] if same else 0
    return (*rest[:done], *rest[done + 1 :])


def _call(core: PivotEnv, action: str) -> ToolCall | None:
    try:
        return parse_action(action, core.tools)
    except ActionError:
        return None
