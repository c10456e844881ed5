"""Pretrain the base model that the benchmarks start from, from nothing, and write its recipe.

``python -m benchmarks.base_model`` builds the corpus, the tokenizer and the model, and trains with
Muon on the matrices and AdamW on the rest: warm-up, constant rate, linear decay. A run that was
stopped goes on where it was.
"""

import dataclasses
import json
import math
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional

from benchmarks.corpus import OBSERVATION_SHARE, OBSERVATION_WEIGHT, Row
from benchmarks.corpus_builder import (
    COPYING,
    DRILLS,
    EPISODES,
    build_drills,
    build_episodes,
    load_corpus,
)
from pivot_agents.tiny import tiny_model

LENGTH_STEP = 64
"""Rows are padded to multiples of this."""
COUNT_STEP = 512
"""So many tokens of a batch, or a multiple, count in the loss. Few lengths and counts mean few
shapes: the processor's kernels are compiled once for each."""


@dataclass(frozen=True)
class BaseModelConfig:
    """How the base model is made."""

    out: Path = Path("benchmarks/models/base")
    """Where the finished model goes."""
    work: Path = Path("runs/base-model")
    """Corpus and training checkpoints."""
    tasks: str | None = None
    """Task file; the shipped one by default."""
    copying_tokens: float = 3e6
    """Training tokens of the first stage, which teaches to copy; padding is not counted."""
    drill_tokens: float = 30e6
    """Training tokens of the second stage, which has repair drills too."""
    episode_tokens: float = 5e6
    """Training tokens of the third stage, which has episodes too."""
    decay_tokens: float = 5e6
    """Tokens, at the end, over which the learning rate falls to zero."""
    stage: Literal["copying", "drills", "all"] = "all"
    """The stage to stop after; ``all`` finishes the model."""
    hidden_size: int = 192
    layers: int = 4
    heads: int = 3
    batch_tokens: int = 4032
    matrix_lr: float = 0.02
    other_lr: float = 3e-3
    warmup_steps: int = 100
    seed: int = 0
    threads: int = 2
    save_every_s: float = 60.0

    def stages(self) -> list[tuple[Mapping[str, float], float]]:
        """Return the mixture of each stage and the token count at its end."""
        copied = self.copying_tokens
        drilled = copied + self.drill_tokens
        stages = [(COPYING, copied), (DRILLS, drilled), (EPISODES, drilled + self.episode_tokens)]
        return stages[: ("copying", "drills", "all").index(self.stage) + 1]

    def identity(self) -> dict[str, float]:
        """Return what a run must keep when it is resumed."""
        names = ("hidden_size", "layers", "heads", "batch_tokens", "matrix_lr", "other_lr", "seed")
        return {name: getattr(self, name) for name in names}


class Sampler:
    """Draws batches of rows of similar length from a mixture of row kinds."""

    def __init__(self, rows: Mapping[str, Sequence[Row]], batch_tokens: int, seed: int) -> None:
        self._rows = rows
        self._batch_tokens = batch_tokens
        self._seed = seed

    def batches(self, mixture: Mapping[str, float], start: int) -> Iterator[list[Row]]:
        """Yield batches for ever; ``start`` makes a resumed run draw others."""
        kinds = [kind for kind in mixture if self._rows.get(kind)]
        weights = [mixture[kind] for kind in kinds]
        generator = random.Random(f"{self._seed} {start}")
        waiting: dict[int, list[Row]] = defaultdict(list)
        while True:
            row = generator.choice(self._rows[generator.choices(kinds, weights)[0]])
            length = padded_length(row)
            waiting[length].append(row)
            if len(waiting[length]) == self._batch_tokens // length:
                yield waiting.pop(length)


def padded_length(row: Row) -> int:
    """Return the length that a row is padded to."""
    return math.ceil(len(row.token_ids) / LENGTH_STEP) * LENGTH_STEP


def pad(rows: Sequence[Row], generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return ids and loss weights, both of shape (batch, time), padded on the right with 0.

    All of the agent's tokens count, and of the environment's those that ``generator`` draws: so
    many that the count is a multiple of ``COUNT_STEP``, where there are enough.
    """
    shape = (len(rows), max(padded_length(row) for row in rows))
    ids: NDArray[np.int64] = np.zeros(shape, dtype=np.int64)
    weights: NDArray[np.float32] = np.zeros(shape, dtype=np.float32)
    drawn: NDArray[np.float64] = np.full(shape, 2.0)
    for index, row in enumerate(rows):
        size = len(row.token_ids)
        ids[index, :size] = row.token_ids
        weights[index, 1:size] = row.is_action[1:]
        drawn[index, 1:size] = generator.random(size - 1) + row.is_action[1:]
    seen, actions = int((drawn < 1.0).sum()), int((weights > 0.0).sum())
    wanted = math.ceil((actions + OBSERVATION_SHARE * seen) / COUNT_STEP) * COUNT_STEP - actions
    threshold = np.sort(drawn, axis=None)[wanted] if wanted < seen else 1.0
    weights[drawn < threshold] = OBSERVATION_WEIGHT
    return torch.from_numpy(ids), torch.from_numpy(weights)


def weighted_loss(model: Any, ids: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean cross-entropy of the next token.

    Scores over the vocabulary are made only where the weight is above 0, which saves a third of
    the time.
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


def train(
    model: Any, rows: Mapping[str, Sequence[Row]], config: BaseModelConfig
) -> Mapping[str, Any]:
    """Train until the tokens are used up; return steps, tokens and seconds."""
    optimizers = Optimizers(model, config.matrix_lr, config.other_lr)
    checkpoint = config.work / "checkpoint.pt"
    state = {"step": 0, "tokens": 0.0, "seconds": 0.0}
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        if saved["identity"] != config.identity():
            raise SystemExit(
                f"{checkpoint} was made with {saved['identity']}, and {config.identity()} is asked "
                "for: name another --work folder, or delete the checkpoint"
            )
        model.load_state_dict(saved["model"])
        for optimizer, content in zip(optimizers.all, saved["optimizers"], strict=True):
            optimizer.load_state_dict(content)
        state = saved["state"]
    sampler = Sampler(rows, config.batch_tokens, config.seed)
    stages = config.stages()
    with Progress() as progress:
        bar = progress.add_task("pretraining", total=stages[-1][1])
        for mixture, end in stages:
            batches = sampler.batches(mixture, int(state["step"]))
            while state["tokens"] < end:
                _run_steps(model, optimizers, batches, state, end, config)
                progress.update(bar, completed=state["tokens"])
                _save(checkpoint, model, optimizers, state, config)
    return state


def _run_steps(
    model: Any,
    optimizers: Optimizers,
    batches: Iterator[list[Row]],
    state: dict[str, float],
    end: float,
    config: BaseModelConfig,
) -> None:
    """Train for ``save_every_s`` seconds or up to ``end`` tokens, and log the mean loss."""
    began = time.perf_counter()
    losses = []
    generator = np.random.default_rng([config.seed, int(state["step"])])
    model.train()
    while state["tokens"] < end and time.perf_counter() - began < config.save_every_s:
        ids, weights = pad(next(batches), generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = weighted_loss(model, ids, weights)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers.step(learning_rate_scale(int(state["step"]), state["tokens"], config))
        losses.append(loss.item())
        state["step"] += 1
        state["tokens"] += float((ids > 0).sum())
    state["seconds"] += time.perf_counter() - began
    line = {**state, "loss": sum(losses) / len(losses)}
    with (config.work / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")


def _save(
    path: Path,
    model: Any,
    optimizers: Optimizers,
    state: Mapping[str, float],
    config: BaseModelConfig,
) -> None:
    partial = path.with_suffix(".partial")
    contents = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers.all],
        "state": dict(state),
        "identity": config.identity(),
    }
    torch.save(contents, partial)
    partial.replace(path)


def main(config: BaseModelConfig) -> None:
    """Make the base model."""
    torch.set_num_threads(config.threads)
    config.work.mkdir(parents=True, exist_ok=True)
    build_drills(config.work, config.seed)
    if config.stage == "all":
        build_episodes(config.work, config.tasks, config.seed)
    corpus = load_corpus(config.work)
    model = tiny_model(
        len(corpus.tokenizer),
        hidden_size=config.hidden_size,
        layers=config.layers,
        heads=config.heads,
        seed=config.seed,
    )
    # On a processor the fused kernel is slower than plain attention for rows as short as these.
    model.set_attn_implementation("eager")
    state = train(model, corpus.rows, config)
    if config.stage != "all":
        return
    config.out.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(config.out)
    corpus.tokenizer.save_pretrained(config.out)
    recipe = {key: str(value) for key, value in dataclasses.asdict(config).items()}
    facts = {"recipe": recipe, "corpus_sha256": corpus.sha256, "training": dict(state)}
    (config.out / "recipe.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(
        f"{config.out}: {math.ceil(sum(p.numel() for p in model.parameters()) / 1e3)}k parameters"
    )


if __name__ == "__main__":
    main(tyro.cli(BaseModelConfig))
