"""FunctionalReward, which rewards doing what the demonstrated action did, not saying it."""

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from wrappers.pivot_reward import PivotReward
from wrappers.verifiers import same_effect


class FunctionalReward(PivotReward):
    """Reward the first action after a pivot by its effect.

    The reward is 1.0 if the executed action's effect covers that of the demonstrated one
    (``Effect.covers``: same state, same end, no less information), else 0.0. An action that is no
    valid call earns 0.0. This is ``PivotReward(env, same_effect)``.
    """

    def __init__(self, env: gym.Env[str, str]) -> None:
        """Wrap an environment.

        Args:
            env: An environment with a PivotResetWrapper inside and a PivotEnv at its core.

        Raises:
            ValueError: One of them is missing.
        """
        # The first call decides what the spec records: this class takes no verifier.
        RecordConstructorArgs.__init__(self)
        super().__init__(env, same_effect)
