"""Find the templates of MiniWoB++ at which a model is sometimes right and sometimes wrong.

``python -m benchmarks.mixed_templates`` lets the model try instances of each template that the
expert demonstrates, several times each, and ranks the templates by how much their tries differ. It
uses seeds of its own, which no set of the comparison and no corpus has.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

import pivot_envs  # noqa: F401  registers the environments
from benchmarks.protocol import protocol_for
from benchmarks.web_domain import UNSEEN, WebDomain
from pivot_agents.evaluation import evaluate
from pivot_agents.llm import LLMPolicy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.web_expert import MiniWobExpert
from pivot_envs.errors import PivotError

FIRST_SEED = 40_000


@dataclass(frozen=True)
class Arguments:
    """Find templates with mixed outcomes."""

    model: str = "benchmarks/models/web"
    """The policy, at temperature 1."""
    templates: tuple[str, ...] = ()
    """By default all that the expert demonstrates, without those that nobody is trained on."""
    instances: int = 6
    """Instances of each template."""
    samples: int = 4
    """Tries of each instance, at least 2."""
    threads: int = 2
    """Threads of the model."""
    out: Path | None = None
    """JSON file to write."""

    def __post_init__(self) -> None:
        """Refuse numbers that measure nothing.

        Raises:
            ValueError: There are too few instances or samples.
        """
        if self.instances < 1 or self.samples < 2:
            raise ValueError(
                "expected at least 1 instance and 2 samples, got "
                f"{self.instances} and {self.samples}"
            )


@dataclass(frozen=True, slots=True)
class MixedTemplate:
    """How tries at one template's instances came out."""

    template: str
    success: float
    """Share of successful tries."""
    mixed: float
    """Share of instances with both outcomes."""
    variance: float
    """Mean over instances of the unbiased variance of an outcome, at most 0.25 in expectation."""
    turns: float
    """Mean turns of a try."""


def measure(arguments: Arguments) -> Iterator[MixedTemplate]:
    """Yield each template's outcomes."""
    torch.set_num_threads(arguments.threads)
    policy = LLMPolicy.load(arguments.model).with_temperature(1.0, seed=0)
    protocol, domain = protocol_for("full", "web"), WebDomain()
    known = tuple(name for name in MiniWobExpert.templates if name not in UNSEEN)
    templates = arguments.templates or known
    task_ids = [
        f"{name}#{FIRST_SEED + number}"
        for name in templates
        for number in range(arguments.instances)
    ]
    with EnvPool(domain.env_maker(task_ids, protocol), protocol.pool_size) as pool:
        for at in track(range(0, len(task_ids), arguments.instances), "templates"):
            chosen = task_ids[at : at + arguments.instances]
            starts = [Start(options={"task_id": task_id}) for task_id in chosen]
            found = evaluate(policy, pool, starts, samples_per_start=arguments.samples)
            tries = [np.array(one, dtype=float) for one in found.successes if len(one) > 1]
            if tries:
                yield MixedTemplate(
                    chosen[0].partition("#")[0],
                    float(np.mean([one.mean() for one in tries])),
                    float(np.mean([0 < one.mean() < 1 for one in tries])),
                    float(np.mean([one.var(ddof=1) for one in tries])),
                    found.turns / sum(map(len, tries)),
                )


def ranked(found: Sequence[MixedTemplate]) -> list[MixedTemplate]:
    """Return the templates, those with the most variance first."""
    return sorted(found, key=lambda one: (-one.variance, one.template))


def main(arguments: Arguments) -> None:
    """Measure, print and write."""
    table = Table(title=f"{arguments.model}, T=1, {arguments.instances} x {arguments.samples}")
    for name in ("template", "success %", "mixed %", "variance", "turns"):
        table.add_column(name, justify="left" if name == "template" else "right")
    found = ranked(list(measure(arguments)))
    for one in found:
        shares = (f"{100 * share:.0f}" for share in (one.success, one.mixed))
        table.add_row(one.template, *shares, f"{one.variance:.3f}", f"{one.turns:.1f}")
    Console().print(table)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")


if __name__ == "__main__":
    try:
        main(tyro.cli(Arguments))
    except (PivotError, ValueError) as error:
        sys.exit(f"error: {error}")
