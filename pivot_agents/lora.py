"""Low-rank adapters: attached, merged for a while, switched off as the reference, saved, loaded."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer


@dataclass(frozen=True, slots=True)
class LoRAConfig:
    """Shape of the adapters (arXiv:2106.09685)."""

    rank: int = 16
    alpha: int = 32
    """The adapter's output is scaled by ``alpha / rank``."""
    seed: int = 0
    """Seed of the adapter's initial weights; a fresh adapter changes nothing."""


def attach(model: Any, config: LoRAConfig | None = None) -> PeftModel:
    """Put a fresh adapter on every linear layer but the head; only the adapter can be trained.

    The model is changed in place: load it again for a second, independent adapter.
    """
    config = config or LoRAConfig()
    settings = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(config.seed)
        adapted = get_peft_model(model, settings)
    adapted.eval()
    return adapted


def is_attached(model: Any) -> bool:
    """Tell whether the model carries an adapter."""
    return isinstance(model, PeftModel)


@contextmanager
def reference(model: PeftModel) -> Iterator[PeftModel]:
    """Switch the adapter off: inside, the model is the one it was attached to."""
    with model.disable_adapter():
        yield model


@contextmanager
def merged(model: Any) -> Iterator[Any]:
    """Add the adapter to the weights for a while, so that sampling pays nothing for it.

    The original weights are put back as they were, bit by bit, and not computed back. Weights in
    half precision are left alone, since the sum would round most of the adapter away.
    """
    if not is_attached(model) or model.dtype != torch.float32:
        yield model
        return
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    originals = [layer.get_base_layer().weight.data for layer in layers]
    with torch.no_grad():
        for layer, original in zip(layers, originals, strict=True):
            name = layer.active_adapters[0]
            layer.get_base_layer().weight.data = original + layer.get_delta_weight(name)
    try:
        with model.disable_adapter():
            yield model.get_base_model()
    finally:
        for layer, original in zip(layers, originals, strict=True):
            layer.get_base_layer().weight.data = original


def save_adapter(model: PeftModel, path: Path) -> None:
    """Write the adapter into the folder ``path``, as PEFT does."""
    with _quiet():
        model.save_pretrained(str(path))


def load_adapter(model: Any, path: Path) -> PeftModel:
    """Put a saved adapter on a model without one; it can be trained further."""
    with _quiet():
        adapted = PeftModel.from_pretrained(model, str(path), is_trainable=True)
    adapted.eval()
    return adapted


def trainable(model: Any) -> list[torch.nn.Parameter]:
    """Return the parameters that training changes."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what PEFT warns about itself: it calls names that transformers is renaming."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
