"""Pretrain the base model that the benchmarks start from, from nothing, and write its recipe.

``python -m benchmarks.base_model`` builds the corpus, the tokenizer and the model, and trains it.
"""

import dataclasses
import json
import math

import torch
import tyro

from benchmarks.corpus_builder import MAX_TOKENS, build_drills, build_episodes, load_corpus
from benchmarks.pretraining import BaseModelConfig, Pretraining, train
from benchmarks.web_corpus import build_pages, build_web


def main(config: BaseModelConfig) -> None:
    """Make the base model."""
    torch.set_num_threads(config.threads)
    config.work.mkdir(parents=True, exist_ok=True)
    build_drills(config.work, config.seed, config.start, config.rows)
    if config.stage == "all":
        build_episodes(config.work, config.tasks, config.seed)
        counts = config.web_instances, config.known_instances
        build_pages(config.work, config.seed, MAX_TOKENS, config.page_drills)
        build_web(config.work, config.seed, MAX_TOKENS, *counts)
    corpus = load_corpus(config.work)
    run = Pretraining.begin(len(corpus.tokenizer), config)
    train(run, corpus.rows)
    if config.stage != "all":
        return
    config.out.mkdir(parents=True, exist_ok=True)
    # How attention is computed is the user's choice, not the model's.
    run.model.set_attn_implementation("sdpa")
    run.model.to(torch.bfloat16).save_pretrained(config.out)
    corpus.tokenizer.save_pretrained(config.out)
    recipe = {key: str(value) for key, value in dataclasses.asdict(config).items()}
    facts = {"recipe": recipe, "corpus_sha256": corpus.sha256, "training": run.state}
    (config.out / "recipe.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(f"{config.out}: {math.ceil(run.model.num_parameters() / 1e3)}k parameters")


if __name__ == "__main__":
    main(tyro.cli(BaseModelConfig))
