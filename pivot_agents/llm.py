"""LLMPolicy, a policy over any Hugging Face causal language model."""

import copy
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from pivot_agents import lora
from pivot_agents.chat import ChatFormat
from pivot_agents.generation import SamplingConfig, sample
from pivot_agents.kv_cache import PrefixStore
from pivot_agents.policy import Completion, Context
from pivot_envs.errors import ModelError


class LLMPolicy:
    """Samples actions from a causal language model, with or without a LoRA adapter.

    Keys and values of a conversation are kept from turn to turn, and dropped by themselves when
    training has changed the weights.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        temperature: float = 1.0,
        max_new_tokens: int = 64,
        seed: int = 0,
        batch_size: int = 64,
        cache_bytes: int = 1024**3,
        sampling_dtype: torch.dtype | None = None,
    ) -> None:
        """Wrap a loaded model.

        Args:
            model: A Hugging Face causal language model, possibly with an adapter.
            tokenizer: Its tokenizer, with a chat template.
            temperature: Sampling temperature; 0 takes the most likely token.
            max_new_tokens: Longest completion.
            seed: Seed of the sampling generator.
            batch_size: Most rows that are sampled together.
            cache_bytes: Memory for the keys and values that are kept from turn to turn.
            sampling_dtype: Precision of sampling, where it is not that of the weights:
                ``torch.bfloat16`` samples with a rounded copy of the model and leaves training
                in full precision. The trainers then compute the log-probabilities once more.

        Raises:
            ModelError: The tokenizer has no chat template or end token.
            ValueError: A number is out of range, or the device cannot compute in
                ``sampling_dtype``.
        """
        if temperature < 0 or max_new_tokens < 1 or batch_size < 1:
            raise ValueError(
                "expected temperature >= 0, max_new_tokens >= 1 and batch_size >= 1, got "
                f"{temperature}, {max_new_tokens} and {batch_size}"
            )
        self.model = model.eval()
        self.chat = ChatFormat(tokenizer)
        self.generator = torch.Generator(model.device).manual_seed(seed)
        self.sampling = SamplingConfig(
            end_id=self.chat.end_id,
            pad_id=self.chat.pad_id,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            batch_size=batch_size,
        )
        self._cache_bytes = cache_bytes
        self._store = PrefixStore(cache_bytes)
        self._weights_version = -1
        self._sampler = _Sampler(model, sampling_dtype)

    @classmethod
    def load(
        cls,
        path_or_hub_id: str | Path,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        **options: Any,
    ) -> "LLMPolicy":
        """Load model and tokenizer from a folder or the hub.

        Args:
            path_or_hub_id: Where they are.
            device: Where the model goes.
            dtype: Precision of the weights, whatever they were saved in.
            **options: The constructor's.

        Raises:
            ModelError: There is no causal language model with a chat template there.
        """
        name = str(path_or_hub_id)
        part = "tokenizer"
        try:
            tokenizer = AutoTokenizer.from_pretrained(name)
            part = "model"
            model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            reason = textwrap.shorten(str(error), 300, placeholder=" ...")
            raise ModelError(
                "expected a folder or a hub id of a causal language model with its tokenizer, "
                f"got {name!r}, whose {part} cannot be loaded: {reason}"
            ) from error
        return cls(model.to(device), tokenizer, **options)

    def act(self, contexts: Sequence[Context]) -> Sequence[Completion]:
        """Sample one completion for each context, in order."""
        self._forget_old_weights()
        prompts = [self.chat.prompt_ids(context) for context in contexts]
        with lora.merged(self._sampler.model) as model:
            samples = sample(
                model,
                prompts,
                self.sampling,
                self.generator,
                store=self._store,
                known=[len(context.prefix_ids) for context in contexts],
                keep=[context.turns_left != 1 for context in contexts],
                keys=[context.draw_key for context in contexts],
            )
        return [
            Completion(self.chat.action(one.token_ids), one.token_ids, one.logprobs, prompt)
            for one, prompt in zip(samples, prompts, strict=True)
        ]

    @property
    def samples_exactly(self) -> bool:
        """Whether log-probabilities of sampling are those of the model that is trained."""
        return self._sampler.model is self.model

    def with_temperature(self, temperature: float, *, seed: int = 0) -> "LLMPolicy":
        """Return a policy that shares the model and samples at another temperature.

        Args:
            temperature: 0 takes the most likely token.
            seed: Seed of the new policy's own generator.
        """
        return self._over(self.model, temperature, seed)

    def greedy(self) -> "LLMPolicy":
        """Return a policy that shares the model and takes the most likely token."""
        return self.with_temperature(0.0)

    def with_adapter(self, config: lora.LoRAConfig | None = None, *, seed: int = 0) -> "LLMPolicy":
        """Return a policy over a copy of the model with a fresh adapter on it.

        Args:
            config: Shape and seed of the adapter.
            seed: Seed of the new policy's own sampling generator.

        Raises:
            ValueError: The model has an adapter already.
        """
        if lora.is_attached(self.model):
            raise ValueError("the model carries an adapter; start from a policy without one")
        model = lora.attach(copy.deepcopy(self.model), config)
        return self._over(model, self.sampling.temperature, seed)

    def _over(self, model: Any, temperature: float, seed: int) -> "LLMPolicy":
        return LLMPolicy(
            model,
            self.chat.tokenizer,
            temperature=temperature,
            max_new_tokens=self.sampling.max_new_tokens,
            seed=seed,
            batch_size=self.sampling.batch_size,
            cache_bytes=self._cache_bytes,
            sampling_dtype=self._sampler.dtype,
        )

    def _forget_old_weights(self) -> None:
        version = sum(parameter._version for parameter in lora.trainable(self.model))
        if version != self._weights_version:
            self._store.clear()
            self._sampler.refresh()
            self._weights_version = version


class _Sampler:
    """The model that is sampled from: the policy's own, or a copy of it in another precision."""

    def __init__(self, model: Any, dtype: torch.dtype | None) -> None:
        self._source = model
        self.dtype = dtype
        self.model = model
        if dtype is None or dtype == model.dtype:
            return
        if dtype == torch.bfloat16 and not supports_bfloat16(model.device):
            raise ValueError(f"{model.device} has no bfloat16 arithmetic; leave sampling_dtype out")
        # The adapter stays apart: added to rounded weights, most of it would be rounded away.
        self.model = copy.deepcopy(model).to(dtype)

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the weights that training changes."""
        if self.model is not self._source:
            copies = dict(self.model.named_parameters())
            for name, parameter in self._source.named_parameters():
                if parameter.requires_grad:
                    copies[name].copy_(parameter)


def supports_bfloat16(device: torch.device) -> bool:
    """Tell whether a device computes in bfloat16 itself rather than by conversion."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "mps"
