"""Times of the learner's parts: generation with kept caches, and groups packed behind a prefix."""

from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.side_by_side import Comparison, take_turns
from pivot_agents import lora
from pivot_agents.generation import SamplingConfig, sample
from pivot_agents.kv_cache import PrefixStore
from pivot_agents.llm import LLMPolicy
from pivot_agents.rows import TrainingRow, completion_logprobs, pack

COMPLETION_TOKENS = 24
"""Tokens of each completion: as many on both sides, whatever the model would end with."""
OBSERVATION_TOKENS = 60

Ids = tuple[int, ...]


def measure_generation(
    policy: LLMPolicy, prompts: Sequence[Ids], turns: int, repetitions: int
) -> Comparison:
    """Compare the turns of whole episodes, sampled from kept caches, with ``generate`` afresh."""
    observation = _repeated(prompts[0], OBSERVATION_TOKENS)

    def ours() -> None:
        config = SamplingConfig(-1, policy.chat.pad_id, COMPLETION_TOKENS)
        generator, store = torch.Generator().manual_seed(0), PrefixStore(2**30)
        ids, known = list(prompts), [0] * len(prompts)
        for turn in range(turns):
            keep = [turn + 1 < turns] * len(ids)
            samples = sample(
                policy.model, ids, config, generator, store=store, known=known, keep=keep
            )
            said = [(*one, *each.token_ids) for one, each in zip(ids, samples, strict=True)]
            known = [len(one) for one in said]
            ids = [(*one, *observation) for one in said]

    def generate() -> None:
        torch.manual_seed(0)
        ids = list(prompts)
        for _ in range(turns):
            ids = [(*one, *observation) for one in _generated(policy, ids)]

    times = take_turns(("kept caches", ours), ("generate afresh every turn", generate), repetitions)
    facts = {
        "episodes": len(prompts),
        "turns": turns,
        "prompt_tokens": [min(map(len, prompts)), max(map(len, prompts))],
        "completion_tokens": COMPLETION_TOKENS,
        "observation_tokens": OBSERVATION_TOKENS,
    }
    return Comparison(f"generation, {turns}-turn episodes", *times, target=2.0, facts=facts)


def measure_packing(
    policy: LLMPolicy, prompts: Sequence[Ids], samples: int, repetitions: int
) -> Comparison:
    """Compare gradients of groups behind one copy of their prompt with one row per sample."""
    student = policy.with_adapter()
    rows = []
    for number, prompt in enumerate(prompts):
        for copy in range(samples):
            said = _repeated(prompt[number + copy :], COMPLETION_TOKENS)
            is_target = (False,) * len(prompt) + (True,) * len(said)
            ids = (*prompt, *said)
            rows.append(TrainingRow(ids, is_target, (0.0,) * len(ids)))
    losses: dict[bool, float] = {}

    def gradient(share_prefixes: bool) -> None:
        losses[share_prefixes] = 0.0
        for batch in pack(rows, 8192, policy.chat.pad_id, share_prefixes=share_prefixes):
            loss = -completion_logprobs(student.model, batch).sum() / len(rows)
            loss.backward()  # type: ignore[no-untyped-call]
            losses[share_prefixes] += loss.item()
        student.model.zero_grad()

    times = take_turns(
        ("one row a group", lambda: gradient(True)),
        ("one row a sample", lambda: gradient(False)),
        repetitions,
    )
    facts = {
        "samples": len(rows),
        "relative_difference_of_losses": abs(losses[True] / losses[False] - 1),
    }
    return Comparison("training with a shared prefix", *times, facts=facts)


def _generated(policy: LLMPolicy, prompts: Sequence[Ids]) -> list[Ids]:
    """Sample with the library's ``generate`` from whole prompts, padded at the left."""
    longest = max(map(len, prompts))
    pads = [longest - len(one) for one in prompts]
    ids = torch.tensor(
        [[policy.chat.pad_id] * pad + [*one] for pad, one in zip(pads, prompts, strict=True)]
    )
    mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in pads])
    with torch.inference_mode(), lora.merged(policy.model) as model:
        output: Any = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=True,
            top_k=0,
            min_new_tokens=COMPLETION_TOKENS,
            max_new_tokens=COMPLETION_TOKENS,
            pad_token_id=policy.chat.pad_id,
        )
    return [(*one, *new) for one, new in zip(prompts, output[:, longest:].tolist(), strict=True)]


def _repeated(ids: Ids, count: int) -> Ids:
    return (ids * (count // len(ids) + 1))[:count]
