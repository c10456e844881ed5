"""OneTurnEnv, a question and an answer: what a trainer does beside its environments."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym

from pivot_agents.policy import Policy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_envs import Message
from pivot_envs.spaces import UnicodeText
from pivot_envs.trajectory import Trajectory


class OneTurnEnv(gym.Env[str, str]):
    """Asks one of the given texts; the seed of the reset chooses it. Nothing is paid."""

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
        """End."""
        info = {"infra_error": None, "action_error": None, "is_success": False}
        return "", 0.0, True, False, info


def roll_out_alternating(
    pool: EnvPool, policy: Policy, starts: Sequence[Start], **settings: Any
) -> list[Trajectory]:
    """Run the episodes and pay 0 and 1 in turns: every group is mixed, so that none is left out."""
    return [
        replace(one, transitions=(replace(one.transitions[0], reward=float(place % 2)),))
        for place, one in enumerate(rollout(pool, policy, starts, **settings))
    ]
