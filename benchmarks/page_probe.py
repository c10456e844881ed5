"""Measure how often a model finds on a page what it is asked for.

``python -m benchmarks.page_probe --model FOLDER`` asks for a click on one of the things with a name
on made-up pages that no corpus has, and counts the model's right calls, greedy. A guess is right
about once in as many times as a page has such things.
"""

import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.domains import BASE_MODELS
from benchmarks.page_drills import click_drill
from pivot_agents.llm import LLMPolicy
from pivot_agents.policy import Context, Policy
from pivot_envs import Message
from pivot_envs.drill import WORDS
from pivot_envs.errors import PivotError

SIZES = (4, 8, 14)
"""Most things with a name on the pages of a row of the table."""
_BATCH = 32


@dataclass(frozen=True)
class Arguments:
    """Measure how often a model finds on a page what it is asked for."""

    model: str = BASE_MODELS["web"]
    """Folder or hub id of a causal language model with a chat template."""
    drills: int = 400
    """Pages; on each one thing is asked for."""
    seed: int = 0
    """Seed of the pages."""
    threads: int = 2
    """Threads of the model."""

    def __post_init__(self) -> None:
        """Refuse a number that measures nothing.

        Raises:
            ValueError: There is no page.
        """
        if self.drills < 1:
            raise ValueError(f"expected at least 1 page, got {self.drills}")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found on the pages of up to a size."""

    size: int
    asked: int
    found: int
    guessed: float
    """How many a guess finds in expectation."""


class HasGreedy(Protocol):
    """What is measured: an ``LLMPolicy``, or what can be made greedy as it can."""

    def greedy(self) -> Policy:
        """Return the policy that takes what is most likely."""


def measure(policy: HasGreedy, drills: Sequence[tuple[Message, ...]]) -> Iterator[Found]:
    """Yield what a policy finds greedily on the pages of each size that there is."""
    greedy = policy.greedy()
    asked, found = dict.fromkeys(SIZES, 0), dict.fromkeys(SIZES, 0)
    guessed = dict.fromkeys(SIZES, 0.0)
    for at in range(0, len(drills), _BATCH):
        chosen = drills[at : at + _BATCH]
        answers = greedy.act([Context(messages[:1], ()) for messages in chosen])
        for messages, answer in zip(chosen, answers, strict=True):
            count = len(re.findall(r'\] \w+ "', messages[0].content))
            size = next(each for each in SIZES if count <= each)
            asked[size] += 1
            guessed[size] += 1 / count
            found[size] += answer.text == messages[-1].content
    for size in SIZES:
        if asked[size]:
            yield Found(size, asked[size], found[size], guessed[size])


def main(arguments: Arguments) -> None:
    """Measure and print."""
    torch.set_num_threads(arguments.threads)
    generator = random.Random(f"{arguments.seed} probe")
    drills = [click_drill(WORDS, generator) for _ in range(arguments.drills)]
    policy = LLMPolicy.load(arguments.model, max_new_tokens=64)
    table = Table(title=f"{arguments.model}, greedy, {arguments.drills} made-up pages")
    for name in ("things on a page", "asked for", "found %", "by guessing %"):
        table.add_column(name, justify="right")
    for one in measure(policy, drills):
        shares = (f"{100 * part / one.asked:.0f}" for part in (one.found, one.guessed))
        table.add_row(f"up to {one.size}", str(one.asked), *shares)
    Console().print(table)


if __name__ == "__main__":
    try:
        main(tyro.cli(Arguments))
    except (PivotError, ValueError) as error:
        sys.exit(f"error: {error}")
