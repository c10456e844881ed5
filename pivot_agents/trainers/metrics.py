"""StepMetrics, what a trainer reports of one step."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What one step of training saw and did."""

    step: int
    """Finished steps, this one included."""
    loss: float
    """The loss as it was aggregated, by default per trained token; 0 if nothing was trained."""
    trained_tokens: int
    """Tokens with a loss."""
    gradient_norm: float
    """Before clipping."""
    reward_mean: float | None = None
    """Mean return of the step's episodes, infrastructure failures left out; ``None`` without."""
    zero_variance_share: float | None = None
    """Share of the groups whose returns are all equal, from which nothing can be learned; ``None``
    without groups."""
    kl: float | None = None
    """Mean estimate of the KL to the reference policy per trained token, in nats; ``None`` without
    one."""
    clipped_share: float = 0.0
    """Share of the trained tokens whose ratio is beyond the clip range, in the last update."""
    infra_errors: int = 0
    """Episodes that the machinery failed; they are masked."""
    masked_truncations: int = 0
    """Episodes that were cut off and therefore left out of the loss."""
    turns: int = 0
    """Rollout turns of this step."""
    generated_tokens: int = 0
    """Tokens sampled in this step."""
    rollout_s: float = field(default=0.0, compare=False)
    """Seconds of that for rollouts."""
    wall_s: float = field(default=0.0, compare=False)
    """Seconds that the step took."""
    cpu_s: float = field(default=0.0, compare=False)
    """Processor seconds that this process spent on it, all its threads together; sandboxes and
    browsers are processes of their own."""
