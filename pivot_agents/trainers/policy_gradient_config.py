"""PolicyGradientConfig, the settings of the policy gradient, each with its source."""

from dataclasses import dataclass
from typing import get_args

from pivot_agents.losses import AdvantageKind, Aggregation, RatioLevel


@dataclass(frozen=True, slots=True)
class PolicyGradientConfig:
    """Settings of the policy gradient."""

    max_steps: int | None = None
    turn_budget: int | None = None
    """Training ends with the step that brings the counter's learning turns to this number."""
    horizon: int | None = None
    """Most turns of an episode; ``None`` leaves the end to the environment."""
    groups_per_step: int = 8
    group_size: int = 8
    """Episodes from the same start."""
    learning_rate: float = 1e-3
    clip_low: float = 0.2
    clip_high: float = 0.2
    """Above ``clip_low`` it is DAPO's decoupled clip, 0.28 in arXiv:2503.14476."""
    ratio: RatioLevel = "token"
    """What is clipped: the ratio of each token (PPO, GRPO) or, with clip ranges of the order of
    3e-4, that of the whole sequence (GSPO, arXiv:2507.18071)."""
    kl_coef: float = 0.02
    """Weight of the KL to the model without its adapter; 0 saves the pass that it needs."""
    advantage: AdvantageKind = "std"
    """``std``, ``mean``, ``leave_one_out`` or ``none``; see ``losses.group_advantages``."""
    aggregation: Aggregation = "token"
    """``token``, ``sequence`` or ``constant``; see ``losses.token_weights``. A sequence is all that
    the policy said in an episode."""
    mask_truncated: bool = False
    """Leave cut-off episodes out of the loss, but not out of their group's baseline: those whose
    last action reached the token limit or that ran out of the environment's turns ("overlong
    filtering", DAPO, arXiv:2503.14476, section 3.4). The end of ``horizon`` is no cut."""
    counts_silent: bool = False
    """Let groups of equal rewards count in the mean over tokens or sequences, as in GRPO
    (arXiv:2402.03300): the fewer groups teach, the smaller the gradient. Without it the mean is
    over those that teach, as in DAPO (arXiv:2503.14476), which draws others in their place. Either
    way they cost no pass of the model, and have no KL."""
    anchors_silent: bool = False
    """Keep groups of equal rewards in the loss: their advantage is 0, but they have a KL, which
    holds the policy in states where it has nothing to learn, at the price of their passes. This is
    GRPO's loss as it is written, and ``counts_silent`` is then without effect."""
    updates_per_step: int = 1
    """Optimizer steps on the same rollouts; the clipping matters from the second on."""
    grad_clip: float = 1.0
    micro_batch_tokens: int = 8192
    """Most tokens that go through the model together, padding included."""
    seed: int = 0
    """Seed of the starts."""

    def check(self) -> None:
        """Check that the settings make sense.

        Raises:
            ValueError: There is neither a number of steps nor a budget of turns, a group has fewer
                than two episodes, a setting has an unknown name, or silent groups are to hold the
                policy without a KL.
        """
        kinds = {"advantage": AdvantageKind, "aggregation": Aggregation, "ratio": RatioLevel}
        for name, kind in kinds.items():
            if getattr(self, name) not in get_args(kind):
                expected = ", ".join(map(repr, get_args(kind)))
                raise ValueError(
                    f"expected {name} to be one of {expected}, got {getattr(self, name)!r}"
                )
        if self.max_steps is None and self.turn_budget is None:
            raise ValueError("set max_steps or turn_budget, or training would never end")
        if self.group_size < 2:
            raise ValueError(f"group_size must be at least 2, got {self.group_size}")
        if self.anchors_silent and self.kl_coef == 0:
            raise ValueError("anchors_silent needs a kl_coef above 0: only its KL holds the policy")
