"""StepScores, what the episodes of a training step are worth and which of them are learned from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pivot_agents.losses import AdvantageKind, group_advantages, is_mixed
from pivot_envs.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class StepScores:
    """The scores of a step's episodes, or of one process's part of them."""

    trained: tuple[int, ...]
    """Numbers of the episodes with a loss."""
    advantages: tuple[float, ...]
    """One for each of them."""
    reward_sum: float
    scored: int
    """Episodes with a reward."""
    compared_groups: int
    """Groups with at least two rewards."""
    mixed_groups: int
    """Those of them whose rewards differ."""
    infra_errors: int
    """Episodes that the machinery failed: neither in a baseline nor in the loss."""
    masked: int
    """Episodes of the mixed groups that were cut off and are left out of the loss."""
    silent: int
    """Episodes whose group has equal rewards, and nothing to teach."""
    silent_tokens: int
    """Tokens that were sampled in them."""


def score(
    episodes: Sequence[Trajectory],
    group_size: int,
    kind: AdvantageKind = "std",
    *,
    mask_truncated: bool = False,
    horizon: int | None = None,
    end_id: int | None = None,
    keeps_silent: bool = False,
) -> StepScores:
    """Compare the episodes of each group, and choose those that are learned from.

    Episodes that the machinery failed or that a verifier left undecided have no reward: they are
    in no baseline and not in the loss.

    Args:
        episodes: ``group_size`` after each other from the same start.
        group_size: Episodes of each group.
        kind: What a reward is compared with.
        mask_truncated: Leave episodes out of the loss that were cut off.
        horizon: Turns after which an episode ends as it should.
        end_id: Token that ends an action which was not cut off.
        keeps_silent: Keep groups of equal rewards in the loss, with an advantage of 0.
    """
    scored = [index for index, one in enumerate(episodes) if one.is_scored]
    rewards = torch.tensor([episodes[index].return_ for index in scored], dtype=torch.float32)
    groups = torch.tensor(scored, dtype=torch.int64) // group_size
    advantages = group_advantages(rewards, groups, kind).tolist()
    mixed = is_mixed(rewards, groups)
    # Without a baseline, groups of equal rewards teach as well.
    teaches = [True] * len(scored) if kind == "none" else mixed.tolist()
    useful = [True] * len(scored) if keeps_silent else teaches
    trained, silent, masked = [], [], 0
    for place, index in enumerate(scored):
        if not useful[place]:
            silent.append(episodes[index])
        elif mask_truncated and was_cut_off(episodes[index], horizon, end_id):
            masked += 1
        else:
            trained.append(place)
    return StepScores(
        trained=tuple(scored[place] for place in trained),
        advantages=tuple(advantages[place] if teaches[place] else 0.0 for place in trained),
        reward_sum=float(rewards.sum()),
        scored=len(scored),
        compared_groups=sum(count > 1 for count in Counter(groups.tolist()).values()),
        mixed_groups=len(set(groups[mixed].tolist())),
        infra_errors=sum(one.infra_error is not None for one in episodes),
        masked=masked,
        silent=len(silent),
        silent_tokens=sum(len(step.token_ids) for one in silent for step in one.transitions),
    )


def was_cut_off(episode: Trajectory, horizon: int | None, end_id: int | None) -> bool:
    """Tell whether an episode's last action or its turns ran out before it was done."""
    last = episode.transitions[-1]
    if end_id is not None and last.token_ids and last.token_ids[-1] != end_id:
        return True
    return last.truncated and len(episode.transitions) != horizon
