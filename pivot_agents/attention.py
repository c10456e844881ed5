"""Attention masks for batches whose rows are padded, forked or packed behind a shared prefix."""

from typing import Any

import torch

from pivot_envs.errors import ModelError

_KNOWN_LAYERS = {"full_attention", "sliding_attention"}


def additive_mask(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the mask that attention adds to its scores, (batch, 1, query, key).

    ``visible`` is bool, (batch, query, key). A row that sees nothing, as padding does, spreads
    evenly instead of becoming NaN.
    """
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]


def attention_mask(
    model: Any, visible: torch.Tensor, queries: torch.Tensor, keys: torch.Tensor
) -> torch.Tensor | dict[str, torch.Tensor]:
    """Return what the model's forward takes as ``attention_mask``.

    Layers with a sliding window see only the newest positions of it; a model that mixes both kinds
    of layers takes one mask for each.

    Args:
        model: A Hugging Face causal language model.
        visible: Bool (batch, query, key), what a token may see whatever the distance.
        queries: (batch, query) int64, positions of the tokens that look.
        keys: (batch, key) int64, positions of the tokens that are looked at.

    Raises:
        ModelError: The model has layers of another kind, such as linear attention.
    """
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if not kinds:
        kinds = {"full_attention" if window is None else "sliding_attention"}
    if not kinds <= _KNOWN_LAYERS:
        raise ModelError(
            "expected a model with full or sliding-window attention in every layer, got "
            f"{config.model_type!r} with {', '.join(sorted(kinds - _KNOWN_LAYERS))}"
        )
    masks = {}
    for kind in kinds:
        seen = visible
        if kind == "sliding_attention" and window is not None:
            seen = visible & (keys[:, None, :] > queries[:, :, None] - window)
        masks[kind] = additive_mask(seen, model.dtype)
    return masks if len(masks) > 1 else next(iter(masks.values()))
