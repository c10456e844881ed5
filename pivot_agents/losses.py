"""Losses and advantages as pure functions over tensors.

Losses are returned per token, so that a batch may be split between any two sequences: weigh them
with ``token_weights`` of the whole step and sum them over all micro-batches.
"""

from typing import Literal

import torch

AdvantageKind = Literal["std", "mean", "leave_one_out", "none"]
"""How a reward becomes an advantage; see ``group_advantages``."""

Aggregation = Literal["token", "sequence", "constant"]
"""How the losses of tokens become one number; see ``token_weights``."""

RatioLevel = Literal["token", "sequence"]
"""What the probability ratio is taken of; see ``clipped_policy_gradient``."""


def group_advantages(
    rewards: torch.Tensor, groups: torch.Tensor, kind: AdvantageKind = "std", eps: float = 1e-6
) -> torch.Tensor:
    """Turn rewards into advantages, most often by comparing each with its group.

    - ``std``: (r - mean) / (std + eps) with the population's standard deviation; GRPO,
      arXiv:2402.03300, section 4.1.2, and PivotRL, arXiv:2603.21383.
    - ``mean``: r - mean; Dr. GRPO, arXiv:2503.20783, section 3.2.
    - ``leave_one_out``: r - mean of the others in the group; RLOO, arXiv:2402.14740, equation 6.
      A group of one has nothing to compare with and gets 0.
    - ``none``: r itself; REINFORCE without a baseline (Williams 1992).

    All but ``none`` are exactly 0 where all rewards of a group are equal.

    Args:
        rewards: (episodes,).
        groups: (episodes,) int64, the number of each episode's group, from 0.
        kind: What the reward is compared with.
        eps: Keeps the division of ``std`` finite.

    Returns:
        Advantages (episodes,).
    """
    if kind == "none":
        return rewards.clone()
    count = int(groups.max()) + 1 if len(groups) else 0
    sizes = torch.zeros(count, dtype=rewards.dtype).index_add_(0, groups, torch.ones_like(rewards))
    means = torch.zeros(count, dtype=rewards.dtype).index_add_(0, groups, rewards) / sizes
    advantages = rewards - means[groups]
    if kind == "leave_one_out":
        # r - (n mean - r) / (n - 1) = (r - mean) n / (n - 1).
        advantages = advantages * (sizes / (sizes - 1).clamp(min=1))[groups]
    elif kind == "std":
        squares = torch.zeros(count, dtype=rewards.dtype).index_add_(0, groups, advantages**2)
        advantages = advantages / ((squares / sizes).sqrt()[groups] + eps)
    return advantages.masked_fill(~is_mixed(rewards, groups), 0.0)


def is_mixed(rewards: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Tell for each episode whether the rewards of its group differ.

    Args:
        rewards: (episodes,).
        groups: (episodes,) int64, the number of each episode's group, from 0.

    Returns:
        Bool (episodes,).
    """
    count = int(groups.max()) + 1 if len(groups) else 0
    highest = rewards.new_full((count,), -torch.inf).scatter_reduce(0, groups, rewards, "amax")
    lowest = rewards.new_full((count,), torch.inf).scatter_reduce(0, groups, rewards, "amin")
    return (highest > lowest)[groups]


def probability_ratios(
    logprobs: torch.Tensor, old_logprobs: torch.Tensor, sequences: torch.Tensor | None = None
) -> torch.Tensor:
    """Return how much likelier each token has become, w = exp(logprobs - old_logprobs).

    With ``sequences``, all tokens of a sequence have its length-normalised ratio, exp of their mean
    difference: GSPO, arXiv:2507.18071, equation 7.

    Args:
        logprobs: (tokens,) under the policy that is trained.
        old_logprobs: (tokens,) when they were sampled.
        sequences: (tokens,) int64, the number of each token's sequence, from 0.

    Returns:
        Ratios (tokens,).
    """
    differences = logprobs - old_logprobs
    if sequences is not None:
        differences = _sequence_means(differences, sequences)[sequences]
    return differences.exp()


def clipped_policy_gradient(
    ratios: torch.Tensor, advantages: torch.Tensor, *, clip_low: float, clip_high: float
) -> torch.Tensor:
    """Per-token clipped surrogate, -min(w A, clip(w, 1 - low, 1 + high) A).

    PPO, arXiv:1707.06347, equation 7; PivotRL, arXiv:2603.21383, the objective's first term.
    ``clip_high`` above ``clip_low`` is DAPO's decoupled clip, arXiv:2503.14476, section 3.1.

    Args:
        ratios: (tokens,), w.
        advantages: (tokens,), each token has its episode's.
        clip_low: How far the ratio may fall below 1.
        clip_high: How far the ratio may rise above 1.

    Returns:
        Loss (tokens,).
    """
    clipped = ratios.clamp(1 - clip_low, 1 + clip_high)
    return -torch.minimum(ratios * advantages, clipped * advantages)


def token_weights(
    lengths: torch.Tensor,
    kind: Aggregation = "token",
    *,
    total: tuple[int, int] | None = None,
    max_tokens: int = 1,
) -> torch.Tensor:
    """Return what each token of each sequence counts: the step's loss is the weighted sum.

    - ``token``: all tokens count the same, 1 / sum of lengths; DAPO, arXiv:2503.14476, equation 8.
    - ``sequence``: all sequences count the same, 1 / (sequences length); GRPO, arXiv:2402.03300,
      equation 3, and PivotRL, arXiv:2603.21383.
    - ``constant``: 1 / (sequences max_tokens), whatever a sequence's length; Dr. GRPO,
      arXiv:2503.20783, section 3.2.

    Args:
        lengths: (sequences,) tokens with a loss, at least 1 each.
        kind: Which of them.
        total: Sequences and tokens of the whole step where ``lengths`` is only a part of it.
        max_tokens: The constant of ``constant``.

    Returns:
        Weights (sequences,) float32.
    """
    count, tokens = total or (len(lengths), int(lengths.sum()))
    if kind == "token":
        return torch.full((len(lengths),), 1 / max(tokens, 1))
    if kind == "constant":
        return torch.full((len(lengths),), 1 / max(count * max_tokens, 1))
    return 1 / (max(count, 1) * lengths.float())


def _sequence_means(values: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
    count = int(sequences.max()) + 1 if len(sequences) else 0
    sums = values.new_zeros(count).index_add(0, sequences, values)
    return sums / torch.bincount(sequences, minlength=count).clamp(min=1)


def kl_to_reference(logprobs: torch.Tensor, reference_logprobs: torch.Tensor) -> torch.Tensor:
    """Per-token estimate of KL(policy || reference), k3 = exp(d) - d - 1, d = reference - policy.

    Unbiased for tokens that the policy sampled, and never negative (Schulman 2020, "Approximating
    KL divergence"; GRPO, arXiv:2402.03300, equation 4).

    Args:
        logprobs: (tokens,) under the policy.
        reference_logprobs: (tokens,) under the reference policy.

    Returns:
        Estimates (tokens,), at least 0.
    """
    difference = reference_logprobs - logprobs
    return difference.exp() - difference - 1


def cross_entropy(logprobs: torch.Tensor) -> torch.Tensor:
    """Per-token cross-entropy of demonstrated tokens, -log p.

    Args:
        logprobs: (tokens,) of the demonstrated tokens under the policy.

    Returns:
        Loss (tokens,).
    """
    return -logprobs
