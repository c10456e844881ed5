"""Small language models with random weights, and byte-level tokenizers trained on any text."""

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from pivot_agents.chat import CHAT_TEMPLATE, CHAT_TOKENS

_PIECES = (
    r"\n| ?[A-Za-z_]+|\d{1,2}|==|!=|<=|>=|->|\*\*|//|\+=|-=|\(\)|\):| +(?= )| ?[^\sA-Za-z_\d]|\s+"
)
"""What a token may span: words, two digits of a number, operators, indentation. Long runs of
punctuation and long numbers are kept apart, so that single operators can be copied and changed."""


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE that knows the project's chat template and encodes any text.

    Args:
        texts: What the tokenizer should be good at.
        vocab_size: Number of token ids, at least 261 (the bytes and the special tokens).

    Raises:
        ValueError: ``vocab_size`` is too small.
    """
    # The library gives the alphabet in another order in every process, and order decides ties.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if vocab_size < len(alphabet) + len(CHAT_TOKENS):
        smallest = len(alphabet) + len(CHAT_TOKENS)
        raise ValueError(f"vocab_size must be at least {smallest}, got {vocab_size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=alphabet,
        special_tokens=list(CHAT_TOKENS),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return wrap_tokenizer(tokenizer)


def wrap_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """Give a ``tokenizers`` tokenizer that has ``CHAT_TOKENS`` the project's chat template."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=CHAT_TOKENS[0],
        eos_token=CHAT_TOKENS[1],
        chat_template=CHAT_TEMPLATE,
    )


def tiny_model(
    vocab_size: int,
    *,
    hidden_size: int = 64,
    layers: int = 2,
    heads: int = 4,
    max_length: int = 4096,
    seed: int = 0,
) -> Any:
    """Return a Qwen3 model with random weights and tied embeddings.

    Args:
        vocab_size: Number of token ids.
        hidden_size: Width, a multiple of ``heads``.
        layers: Number of layers.
        heads: Number of attention heads.
        max_length: Longest sequence in tokens.
        seed: Seed of the weights.
    """
    config = Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=3 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=hidden_size // heads,
        # The usual 0.02 is made for wide models: at this width copying takes 3 times the steps.
        initializer_range=hidden_size**-0.5,
        max_position_embeddings=max_length,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config).eval()
