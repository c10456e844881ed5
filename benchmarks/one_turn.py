"""OneTurnEnv, a question and a rewarded answer: what a trainer does beside its environments."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym

from pivot_envs import Message
from pivot_envs.spaces import UnicodeText


def reward(text: str) -> float:
    """Return 1 for a text of odd length: nearly every group is mixed, so that no work is saved."""
    return float(len(text) % 2)


class OneTurnEnv(gym.Env[str, str]):
    """Asks one of the given texts and rewards the answer; the seed of the reset chooses."""

    action_space = UnicodeText()
    observation_space = UnicodeText()
    tools = ()

    def __init__(self, prompts: Sequence[str]) -> None:
        """Prepare the texts."""
        self._prompts = prompts
        self.messages: tuple[Message, ...] = ()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        prompt = self._prompts[(seed or 0) % len(self._prompts)]
        self.messages = (Message("user", prompt),)
        return prompt, {"task_id": "", "infra_error": None}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Reward the answer and end."""
        info = {"infra_error": None, "action_error": None, "is_success": False}
        return "", reward(action), True, False, info
