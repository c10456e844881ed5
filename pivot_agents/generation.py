"""Sampling completions in lockstep; a prompt that a group shares is computed once and forked."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from pivot_agents.attention import attention_mask
from pivot_agents.kv_cache import BatchCache, PrefixStore
from pivot_envs.errors import ModelError


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled completion."""

    token_ids: tuple[int, ...]
    """With the end token if it was sampled within the limit."""
    logprobs: tuple[float, ...]
    """Natural logarithm of each token's probability at temperature 1, whatever was sampled at."""


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """How completions are sampled."""

    end_id: int
    """Token that ends a completion."""
    pad_id: int
    max_new_tokens: int = 64
    temperature: float = 1.0
    """0 takes the most likely token."""
    batch_size: int = 64
    """Most rows that run together."""


@dataclass(slots=True)
class _Row:
    """One completion in the making."""

    index: int
    uniforms: list[float]
    """A number in [0, 1) for each token that may come, which decides what is drawn."""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


@torch.inference_mode()
def sample(
    model: Any,
    prompts: Sequence[tuple[int, ...]],
    config: SamplingConfig,
    generator: torch.Generator,
    *,
    store: PrefixStore | None = None,
    known: Sequence[int] | None = None,
    keep: Sequence[bool] | None = None,
    keys: Sequence[tuple[int, int] | None] | None = None,
) -> list[Sample]:
    """Sample one completion for each prompt, in order.

    Equal prompts are computed once. Prompts of similar length run together. What is drawn for a
    prompt depends on its key alone and not on what runs beside it, rounding apart.

    Args:
        model: A Hugging Face causal language model (attention ``sdpa`` or ``eager``).
        prompts: Token ids, none empty.
        config: How to sample.
        generator: Draws the keys that are not given.
        store: Keys and values of earlier prompts with their completions, to go on from.
        known: For each prompt, how many leading tokens an earlier prompt and completion make up.
        keep: For each prompt, whether a later one may go on from it.
        keys: For each prompt, the key of its draws, two numbers in [0, 2**64).

    Raises:
        ModelError: The model has a kind of attention that cannot run in batches like these, or
            its logits are not finite.
    """
    known = known or [0] * len(prompts)
    unique: dict[tuple[int, ...], list[int]] = {}
    for index, prompt in enumerate(prompts):
        unique.setdefault(prompt, []).append(index)
    pending = []
    for prompt, rows in unique.items():
        # The last sampled token was never fed to the model, so the stored prefix ends before it.
        reach = max(known[row] for row in rows) - 1
        entry = store.take(prompt[:reach]) if store is not None and reach > 0 else None
        pending.append(_Prompt(prompt, rows, entry))
    given = list(keys or [None] * len(prompts))
    drawn = torch.randint(2**62, (len(prompts),), generator=generator, device=generator.device)
    streams = [key or (own, 0) for key, own in zip(given, drawn.tolist(), strict=True)]
    samples: dict[int, Sample] = {}
    for batch in _batches(pending, config.batch_size):
        samples.update(_Lockstep(model, batch, config, streams).run(store, keep))
    return [samples[index] for index in range(len(prompts))]


@dataclass(frozen=True, slots=True)
class _Prompt:
    """One distinct prompt and the rows that ask for it."""

    token_ids: tuple[int, ...]
    rows: list[int]
    entry: Any

    @property
    def new_tokens(self) -> int:
        return len(self.token_ids) - (0 if self.entry is None else self.entry.length)


def _batches(prompts: list[_Prompt], batch_size: int) -> list[list[_Prompt]]:
    """Split rows into batches whose prompts leave little padding."""
    batches: list[list[_Prompt]] = []
    rows_left, longest_allowed = 0, 0
    for prompt in sorted(prompts, key=lambda prompt: (prompt.new_tokens, len(prompt.token_ids))):
        for start in range(0, len(prompt.rows), batch_size):
            rows = prompt.rows[start : start + batch_size]
            part = _Prompt(prompt.token_ids, rows, prompt.entry)
            if len(rows) > rows_left or prompt.new_tokens > longest_allowed:
                batches.append([])
                rows_left, longest_allowed = batch_size, prompt.new_tokens * 3 // 2 + 16
            batches[-1].append(part)
            rows_left -= len(rows)
    return batches


class _Lockstep:
    """One batch from its prompts to its last token."""

    def __init__(
        self,
        model: Any,
        prompts: list[_Prompt],
        config: SamplingConfig,
        streams: Sequence[tuple[int, int]],
    ) -> None:
        self.model = model
        self.prompts = prompts
        self.config = config
        self.device = model.device
        forward = inspect.signature(_plain(model).forward).parameters
        self.cache_name = "cache" if "cache" in forward else "past_key_values"
        self.rows = [
            _Row(index, _uniforms(streams[index], config.max_new_tokens))
            for prompt in prompts
            for index in prompt.rows
        ]

    def run(self, store: PrefixStore | None, keep: Sequence[bool] | None) -> dict[int, Sample]:
        """Sample every row; put the kept ones' keys and values into the store."""
        logits = self._prefill()
        prompt_of = {index: prompt for prompt in self.prompts for index in prompt.rows}
        slots: list[_Row | None] = list(self.rows)
        for step in range(self.config.max_new_tokens):
            tokens = self._draw(logits, slots)
            is_last = step + 1 == self.config.max_new_tokens
            for slot, row in enumerate(slots):
                if row is None or (row.token_ids[-1] != self.config.end_id and not is_last):
                    continue
                slots[slot] = None
                if store is not None and (keep is None or keep[row.index]):
                    ids = (*prompt_of[row.index].token_ids, *row.token_ids[:-1])
                    store.put(ids, self.cache.row(slot, self.visible[slot]))
            alive = [slot for slot, row in enumerate(slots) if row is not None]
            if not alive:
                break
            if len(alive) * 4 <= len(slots) * 3:
                tokens = self._select(alive, tokens)
                slots = [slots[slot] for slot in alive]
            logits = self._advance(tokens)
        return {row.index: Sample(tuple(row.token_ids), tuple(row.logprobs)) for row in self.rows}

    def _prefill(self) -> torch.Tensor:
        """Compute all prompts and fork them; returns logits (rows, vocabulary)."""
        longest_new = max(prompt.new_tokens for prompt in self.prompts)
        longest_old = max(len(p.token_ids) - p.new_tokens for p in self.prompts)
        room = longest_old + longest_new + self.config.max_new_tokens
        self.cache = BatchCache(self.model.config.get_text_config().num_hidden_layers, room)
        past = self.cache.load([prompt.entry for prompt in self.prompts])
        ids = torch.full((len(self.prompts), longest_new), self.config.pad_id)
        positions = torch.zeros_like(ids)
        visible = torch.zeros((len(self.prompts), past + longest_new), dtype=torch.bool)
        for row, prompt in enumerate(self.prompts):
            new, old = prompt.new_tokens, len(prompt.token_ids) - prompt.new_tokens
            ids[row, longest_new - new :] = torch.tensor(prompt.token_ids[old:])
            positions[row, longest_new - new :] = torch.arange(old, old + new)
            visible[row, past - old : past] = True
            visible[row, past + longest_new - new :] = True
        causal = torch.ones((longest_new, past + longest_new), dtype=torch.bool).tril(past)
        self.visible = visible.to(self.device)
        mask = self.visible[:, None] & causal.to(self.device)
        logits = self._forward(ids.to(self.device), positions.to(self.device), mask)
        owner = [row for row, prompt in enumerate(self.prompts) for _ in prompt.rows]
        lengths = torch.tensor([len(prompt.token_ids) for prompt in self.prompts])
        self.positions = lengths.to(self.device)
        if len(owner) == len(self.prompts):
            return logits
        return self._select(owner, logits)

    def _advance(self, tokens: torch.Tensor) -> torch.Tensor:
        """Feed one token a row (rows,); returns logits (rows, vocabulary)."""
        seen = torch.ones((len(tokens), 1), dtype=torch.bool, device=self.device)
        self.visible = torch.cat([self.visible, seen], dim=1)
        logits = self._forward(tokens[:, None], self.positions[:, None], self.visible[:, None])
        self.positions = self.positions + 1
        return logits

    def _forward(
        self, ids: torch.Tensor, positions: torch.Tensor, visible: torch.Tensor
    ) -> torch.Tensor:
        keys = self.visible.cumsum(-1) - 1
        output = self.model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=attention_mask(self.model, visible, positions, keys),
            use_cache=True,
            logits_to_keep=1,
            **{self.cache_name: self.cache.hugging_face},
        )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    def _draw(self, logits: torch.Tensor, slots: list[_Row | None]) -> torch.Tensor:
        """Draw the next token of each slot, (rows,), and write it into its row."""
        logprobs = logits.log_softmax(-1)
        if self.config.temperature == 0:
            tokens = logits.argmax(-1)
        else:
            # The inverse of the cumulative distribution: the token whose interval holds the number.
            weights = (logits / self.config.temperature).softmax(-1, dtype=torch.float64).cumsum(-1)
            heights = torch.tensor(
                [0.0 if row is None else row.uniforms[len(row.token_ids)] for row in slots],
                dtype=weights.dtype,
                device=self.device,
            )
            heights = heights[:, None] * weights[:, -1:]
            tokens = torch.searchsorted(weights, heights, right=True).squeeze(-1)
            tokens = tokens.clamp_(max=logits.shape[-1] - 1)
        chosen = logprobs.gather(-1, tokens[:, None]).squeeze(-1)
        if not chosen.isfinite().all():
            raise ModelError(
                "expected finite logits, got others; the weights have overflowed or are damaged: "
                "train with a lower learning rate, or in float32"
            )
        for row, token, logprob in zip(slots, tokens.tolist(), chosen.tolist(), strict=True):
            if row is not None:
                row.token_ids.append(token)
                row.logprobs.append(logprob)
        return tokens

    def _select(self, rows: list[int], values: torch.Tensor) -> torch.Tensor:
        """Keep or repeat rows of the whole batch; returns the same rows of ``values``."""
        index = torch.tensor(rows, device=self.device)
        self.cache.select(index)
        self.visible = self.visible[index]
        self.positions = self.positions[index]
        return values[index]


def _uniforms(key: tuple[int, int], count: int) -> list[float]:
    """Return ``count`` numbers in [0, 1) that depend on ``key`` alone."""
    bits = np.random.Philox(key=np.array(key, dtype=np.uint64))
    numbers: list[float] = np.random.Generator(bits).random(count).tolist()
    return numbers


def _plain(model: Any) -> Any:
    """Return the model without its adapters' wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
