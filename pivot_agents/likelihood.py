"""Likelihoods of demonstrated actions, which tell without a turn where a policy is sure."""

import math
import time
from collections.abc import Sequence

import torch

from pivot_agents.accounting import Tally, TurnCounter
from pivot_agents.chat import ChatFormat
from pivot_agents.llm import LLMPolicy
from pivot_agents.processes import Processes
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
    processes: Processes | None = None,
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
        processes: Those that train together, a trainer's ``processes``. Each looks at its share of
            the pivots, and all get the same numbers, to the last bit: a curriculum that chooses by
            them has to choose alike everywhere.
        micro_batch_tokens: Most tokens that go through the model together, padding included.

    Returns:
        Probabilities in [0, 1], (pivots,).
    """
    began = time.perf_counter()
    together = processes or Processes()
    rows = [_row(policy.chat, pivot, tools) for pivot in pivots]
    # Batches have a row on each line, in ascending length.
    order = sorted(range(len(rows)), key=lambda number: len(rows[number].token_ids))
    mine = together.share(order)
    logprobs = _logprobs(policy, [rows[number] for number in mine], micro_batch_tokens)
    tokens = sum(len(rows[number].token_ids) for number in mine)
    tally = Tally(prompt_tokens=tokens, model_s=time.perf_counter() - began)
    shares = together.gather((dict(zip(mine, logprobs, strict=True)), tally))
    if counter is not None:
        counter.add("profile", sum((spent for _, spent in shares), Tally()))
    every = {number: logprob for found, _ in shares for number, logprob in found.items()}
    return tuple(math.exp(every[number]) for number in range(len(rows)))


def _logprobs(
    policy: LLMPolicy, rows: Sequence[TrainingRow], micro_batch_tokens: int
) -> list[float]:
    """Return the log-probability of each row's targets together; rows are in ascending length."""
    logprobs: list[float] = []
    for batch in pack(rows, micro_batch_tokens, policy.chat.pad_id, share_prefixes=False):
        batch = batch.to(policy.model.device)
        sums = torch.zeros(len(batch.input_ids), device=policy.model.device)
        sums.index_add_(0, batch.rows, completion_logprobs(policy.model, batch))
        logprobs += sums.tolist()
    return logprobs


def _row(chat: ChatFormat, pivot: Pivot, tools: Sequence[ToolSpec]) -> TrainingRow:
    context = chat.rendered_ids(pivot.snapshot.messages, tools)
    said = chat.completion_ids(pivot.demonstration)
    is_target = (*(False for _ in context), *(True for _ in said))
    return TrainingRow((*context, *said), is_target, (0.0,) * len(is_target))
