"""Losses and advantages as pure functions over tensors.

Losses are returned per token, so that a batch may be split anywhere: sum them over all
micro-batches and divide by the number of tokens of the whole step.
"""

from typing import Literal

import torch

AdvantageKind = Literal["std", "mean"]


def group_advantages(
    rewards: torch.Tensor, groups: torch.Tensor, kind: AdvantageKind = "std", eps: float = 1e-6
) -> torch.Tensor:
    """Compare each reward with its group, GRPO (arXiv:2402.03300, section 4.1.2).

    A = (r - mean) / (std + eps) for ``std`` with the population's standard deviation;
    A = r - mean for ``mean`` (arXiv:2503.20783). Exactly 0 where all rewards of a group are equal.

    Args:
        rewards: (episodes,).
        groups: (episodes,) int64, the number of each episode's group, from 0.
        kind: Whether to divide by the standard deviation.
        eps: Keeps the division finite.

    Returns:
        Advantages (episodes,).
    """
    count = int(groups.max()) + 1 if len(groups) else 0
    sizes = torch.zeros(count, dtype=rewards.dtype).index_add_(0, groups, torch.ones_like(rewards))
    means = torch.zeros(count, dtype=rewards.dtype).index_add_(0, groups, rewards) / sizes
    centred = rewards - means[groups]
    if kind == "mean":
        return centred.masked_fill(~is_mixed(rewards, groups), 0.0)
    squares = torch.zeros(count, dtype=rewards.dtype).index_add_(0, groups, centred**2)
    std = (squares / sizes).sqrt()
    return (centred / (std[groups] + eps)).masked_fill(~is_mixed(rewards, groups), 0.0)


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


def clipped_policy_gradient(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    advantages: torch.Tensor,
    *,
    clip_low: float,
    clip_high: float,
) -> torch.Tensor:
    """Per-token clipped surrogate, -min(w A, clip(w, 1 - low, 1 + high) A).

    PPO, arXiv:1707.06347, equation 7; PivotRL, arXiv:2603.21383, the objective's first term;
    w = exp(logprobs - old_logprobs).

    Args:
        logprobs: (tokens,) under the policy that is trained.
        old_logprobs: (tokens,) when they were sampled.
        advantages: (tokens,), each token has its episode's.
        clip_low: How far the ratio may fall below 1.
        clip_high: How far the ratio may rise above 1.

    Returns:
        Loss (tokens,).
    """
    ratios = (logprobs - old_logprobs).exp()
    clipped = ratios.clamp(1 - clip_low, 1 + clip_high)
    return -torch.minimum(ratios * advantages, clipped * advantages)


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
