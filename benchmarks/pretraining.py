"""Pretraining of the base model: loss, optimizers, growth, checkpoints.

Muon on the matrices and AdamW on the rest: warm-up, constant rate, linear decay. A run that was
stopped goes on where it was.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM

from benchmarks.batches import Sampler, pad
from benchmarks.corpus import OBSERVATION_SHARE, Row
from benchmarks.corpus_builder import COPYING, DRILLS, EPISODES
from pivot_agents.tiny import tiny_model

_ATTENTION = "eager"
"""On a processor the fused kernel is slower than this for rows as short as these."""


@dataclass(frozen=True)
class BaseModelConfig:
    """How the base model is made."""

    out: Path = Path("benchmarks/models/base")
    """Where the finished model goes."""
    work: Path = Path("runs/base-model")
    """Corpus and training checkpoints."""
    start: Path | None = None
    """A model folder to go on from, with its tokenizer, instead of beginning with nothing."""
    tasks: str | None = None
    """Task file; the shipped one by default."""
    rows: float = 1.0
    """Share of the drills of each kind that is built; a short training needs few."""
    web_instances: int = 150
    """Instances of each template of MiniWoB++ of which the expert's episodes are shown."""
    known_instances: int = 30
    """The same of the templates that the arms learn from, so that the base is mediocre at them."""
    web_weight: float = 1.0
    """Weight of these episodes in the third stage; see ``EPISODES`` for the others'."""
    page_drills: int = 0
    """Drills on made-up pages, for a base that is to act on the web."""
    observation_share: float = OBSERVATION_SHARE
    """Share of the environment's tokens that count in the loss. Those of made-up pages cannot be
    foreseen: with many page drills it is better small."""
    page_weight: float = 1.0
    """Weight of page drills in the third stage."""
    copying_tokens: float = 4e6
    """Training tokens of the first stage, which teaches to copy; padding is not counted."""
    drill_tokens: float = 30.5e6
    """Training tokens of the second stage, which has repair drills too."""
    episode_tokens: float = 3.5e6
    """Training tokens of the third stage, which has episodes too."""
    decay_tokens: float = 19e6
    """Tokens, at the end, over which the learning rate falls to zero."""
    stage: Literal["copying", "drills", "all"] = "all"
    """The stage to stop after; ``all`` finishes the model."""
    hidden_size: int = 192
    first_layers: int = 4
    """Layers of the model until it grows."""
    layers: int = 7
    """Layers of the finished model."""
    shallow_tokens: float = 19e6
    """Training tokens after which the model grows."""
    heads: int = 3
    batch_tokens: int = 4032
    matrix_lr: float = 0.02
    other_lr: float = 3e-3
    warmup_steps: int = 100
    seed: int = 0
    threads: int = 2
    bfloat16: bool = False
    """Compute in bfloat16; a processor can be slower with it."""
    save_every_s: float = 60.0

    def stages(self) -> list[tuple[Mapping[str, float], float]]:
        """Return the mixture of each stage and the token count at its end."""
        copied = self.copying_tokens
        drilled = copied + self.drill_tokens
        last = {**EPISODES, "web": self.web_weight, "pages": self.page_weight}
        stages = [(COPYING, copied), (DRILLS, drilled), (last, drilled + self.episode_tokens)]
        return stages[: ("copying", "drills", "all").index(self.stage) + 1]

    def identity(self) -> dict[str, float]:
        """Return what a run must keep when it is resumed."""
        names = ("hidden_size", "heads", "batch_tokens", "matrix_lr", "other_lr", "seed")
        return {name: getattr(self, name) for name in names}


def weighted_loss(model: Any, ids: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean cross-entropy of the next token.

    Scores over the vocabulary, which are dear, are made only where the weight is above 0.
    """
    chosen = weights[:, 1:] > 0
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1][chosen]
    logits = model.lm_head(hidden).float()
    losses = functional.cross_entropy(logits, ids[:, 1:][chosen], reduction="none")
    kept = weights[:, 1:][chosen]
    return (losses * kept).sum() / kept.sum()


class Optimizers:
    """Muon for the matrices, AdamW for embeddings and scales."""

    def __init__(self, model: Any, matrix_lr: float, other_lr: float) -> None:
        named = list(model.named_parameters())
        matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in named if p.ndim != 2 or "embed" in name]
        self._rates = (matrix_lr, other_lr)
        self.all = (
            torch.optim.Muon(matrices, lr=matrix_lr, weight_decay=0.01, momentum=0.95),
            torch.optim.AdamW(others, lr=other_lr, betas=(0.9, 0.98), weight_decay=0.0),
        )

    def step(self, scale: float) -> None:
        """Take a step at ``scale`` times the base rates and clear the gradients."""
        for optimizer, rate in zip(self.all, self._rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def learning_rate_scale(step: int, tokens: float, config: BaseModelConfig) -> float:
    """Return the factor on the learning rates: warm-up, constant, linear decay to zero."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    end = config.copying_tokens + config.drill_tokens + config.episode_tokens
    left = (end - tokens) / config.decay_tokens
    return warm * max(0.0, min(1.0, left))


def grow(model: Any, layers: int) -> Any:
    """Return the model with more layers on top, which change nothing yet.

    The first layers learn what a function should read; the new ones can compare it with what it
    reads. Until then training is cheaper.
    """
    config = model.config
    grown = tiny_model(
        config.vocab_size,
        hidden_size=config.hidden_size,
        layers=layers,
        heads=config.num_attention_heads,
        seed=layers,
    )
    grown.load_state_dict(model.state_dict(), strict=False)
    for layer in grown.model.layers[config.num_hidden_layers :]:
        for silent in (layer.self_attn.o_proj, layer.mlp.down_proj):
            torch.nn.init.zeros_(silent.weight)
    return grown


@dataclass
class Pretraining:
    """A model in training, with its optimizers and how far it has come."""

    model: Any
    optimizers: Optimizers
    config: BaseModelConfig
    state: dict[str, float]
    """Steps, tokens and seconds so far, and the step at which the optimizers were new."""

    @classmethod
    def begin(cls, vocab_size: int, config: BaseModelConfig) -> "Pretraining":
        """Return the training in ``config.work``, or a new one.

        Raises:
            SystemExit: The training there was begun with other settings.
        """
        path = config.work / "checkpoint.pt"
        if not path.exists():
            model = _first_model(vocab_size, config)
            state = {"step": 0.0, "tokens": 0.0, "seconds": 0.0, "optimizers_since": 0.0}
            return cls(model, _optimizers(model, config), config, state)
        saved = torch.load(path, weights_only=True)
        if saved["identity"] != config.identity():
            raise SystemExit(
                f"{path} was made with {saved['identity']}, and {config.identity()} is asked "
                "for: name another --work folder, or delete the checkpoint"
            )
        model = _new_model(vocab_size, int(saved["layers"]), config)
        model.load_state_dict(saved["model"])
        optimizers = _optimizers(model, config)
        for optimizer, content in zip(optimizers.all, saved["optimizers"], strict=True):
            optimizer.load_state_dict(content)
        return cls(model, optimizers, config, saved["state"])

    def grow(self) -> None:
        """Add the layers of the finished model; the optimizers begin anew."""
        self.model = grow(self.model, self.config.layers)
        self.model.set_attn_implementation(_ATTENTION)
        self.optimizers = _optimizers(self.model, self.config)
        self.state["optimizers_since"] = self.state["step"]

    def save(self) -> None:
        """Write the checkpoint that ``begin`` goes on from."""
        path = self.config.work / "checkpoint.pt"
        partial = path.with_suffix(".partial")
        contents = {
            "model": self.model.state_dict(),
            "layers": self.model.config.num_hidden_layers,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers.all],
            "state": dict(self.state),
            "identity": self.config.identity(),
        }
        torch.save(contents, partial)
        partial.replace(path)


def _first_model(vocab_size: int, config: BaseModelConfig) -> Any:
    if config.start is None:
        return _new_model(vocab_size, config.first_layers, config)
    model = AutoModelForCausalLM.from_pretrained(
        config.start, dtype=torch.float32, attn_implementation=_ATTENTION
    )
    if vocab_size > model.config.vocab_size:
        model.resize_token_embeddings(vocab_size)
    return model


def _new_model(vocab_size: int, layers: int, config: BaseModelConfig) -> Any:
    model = tiny_model(
        vocab_size,
        hidden_size=config.hidden_size,
        layers=layers,
        heads=config.heads,
        seed=config.seed,
    )
    model.set_attn_implementation(_ATTENTION)
    return model


def _optimizers(model: Any, config: BaseModelConfig) -> Optimizers:
    return Optimizers(model, config.matrix_lr, config.other_lr)


def train(run: Pretraining, rows: Mapping[str, Sequence[Row]]) -> None:
    """Train until the tokens of the last stage are used up; the model grows on the way."""
    config, state = run.config, run.state
    sampler = Sampler(rows, config.batch_tokens, config.seed)
    stages = config.stages()
    with Progress() as progress:
        bar = progress.add_task("pretraining", total=stages[-1][1])
        for mixture, end in stages:
            batches = sampler.batches(mixture, int(state["step"]))
            while state["tokens"] < end:
                is_shallow = run.model.config.num_hidden_layers < config.layers
                if is_shallow and state["tokens"] >= config.shallow_tokens:
                    run.grow()
                _run_steps(run, batches, end)
                progress.update(bar, completed=state["tokens"])
                run.save()


def _run_steps(run: Pretraining, batches: Iterator[list[Row]], end: float) -> None:
    """Train for ``save_every_s`` seconds or up to ``end`` tokens, and log the mean loss."""
    model, config, state = run.model, run.config, run.state
    began = time.perf_counter()
    losses: list[float] = []
    generator = np.random.default_rng([config.seed, int(state["step"])])
    model.train()
    while not losses or (
        state["tokens"] < end and time.perf_counter() - began < config.save_every_s
    ):
        ids, weights = pad(next(batches), generator, config.observation_share)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.bfloat16):
            loss = weighted_loss(model, ids, weights)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        new_steps = int(state["step"] - state["optimizers_since"])
        run.optimizers.step(learning_rate_scale(new_steps, state["tokens"], config))
        losses.append(loss.item())
        state["step"] += 1
        state["tokens"] += float((ids > 0).sum())
    state["seconds"] += time.perf_counter() - began
    line = {**state, "layers": model.config.num_hidden_layers, "loss": sum(losses) / len(losses)}
    with (config.work / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
