"""Likelihoods of demonstrated actions, which tell without a turn where a policy is sure."""

import math
import time
from collections.abc import Sequence

import torch

from pivot_agents.accounting import Tally, TurnCounter
from pivot_agents.chat import ChatFormat
from pivot_agents.llm import LLMPolicy
from pivot_agents.rows import TrainingRow, completion_logprobs, pack
from pivot_envs import ToolSpec
from wrappers import Pivot


@torch.no_grad()
def demonstration_likelihoods(
    policy: LLMPolicy,
    pivots: Sequence[Pivot],
    tools: Sequence[ToolSpec] = (),
    *,
    counter: TurnCounter | None = None,
    micro_batch_tokens: int = 8192,
) -> tuple[float, ...]:
    """Return how likely a policy is to say each pivot's demonstrated action, word for word.

    A lower bound of the chance that it does the same, since other words can do it, too. Nothing is
    sampled and no environment is touched: one pass of the model over the contexts.

    Args:
        policy: At temperature 1, whatever its own is.
        pivots: The states.
        tools: The tools of the environment, for chat templates that describe them.
        counter: Its tokens and seconds are counted here as profiling; turns are none.
        micro_batch_tokens: Most tokens that go through the model together, padding included.

    Returns:
        Probabilities in [0, 1], (pivots,).
    """
    began = time.perf_counter()
    rows = [_row(policy.chat, pivot, tools) for pivot in pivots]
    # Batches have a row on each line, in ascending length.
    order = sorted(range(len(rows)), key=lambda number: len(rows[number].token_ids))
    ordered = [rows[number] for number in order]
    logprobs: list[float] = []
    for batch in pack(ordered, micro_batch_tokens, policy.chat.pad_id, share_prefixes=False):
        batch = batch.to(policy.model.device)
        sums = torch.zeros(len(batch.input_ids), device=policy.model.device)
        sums.index_add_(0, batch.rows, completion_logprobs(policy.model, batch))
        logprobs += sums.tolist()
    if counter is not None:
        tokens = sum(len(row.token_ids) for row in rows)
        counter.add("profile", Tally(prompt_tokens=tokens, model_s=time.perf_counter() - began))
    likelihoods = dict(zip(order, map(math.exp, logprobs), strict=True))
    return tuple(likelihoods[number] for number in range(len(rows)))


def _row(chat: ChatFormat, pivot: Pivot, tools: Sequence[ToolSpec]) -> TrainingRow:
    context = chat.rendered_ids(pivot.snapshot.messages, tools)
    said = chat.completion_ids(pivot.demonstration)
    is_target = (*(False for _ in context), *(True for _ in said))
    return TrainingRow((*context, *said), is_target, (0.0,) * len(is_target))
