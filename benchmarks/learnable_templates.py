"""Find the templates of MiniWoB++ at which end-to-end RL can teach a model something.

``python -m benchmarks.learnable_templates`` trains the arm E2E once, on all templates at which the
model is neither always wrong nor always right (``mixed_templates``), and ranks them by how much
more often it succeeds afterwards, on other instances. It uses seeds of its own, which no set of the
comparison and no corpus has, and no pivot arm: a comparison on what E2E can learn asks how soon a
pivot arm gets there, and one on what it cannot learn asks nothing.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

import pivot_envs  # noqa: F401  registers the environments
from benchmarks.arms import Arm, train
from benchmarks.domains import BASE_MODELS
from benchmarks.evaluations import Evaluator
from benchmarks.protocol import Protocol, TaskDraw, protocol_for
from benchmarks.run_directory import RunDirectory
from benchmarks.study import Study, configuration, progress_bars
from benchmarks.web_domain import UNSEEN, WebDomain
from pivot_agents.evaluation import evaluate
from pivot_agents.llm import LLMPolicy
from pivot_agents.pool import EnvPool, Start
from pivot_envs.errors import PivotError

TRAINING_SEED = 45_000
"""Seed of the first instance that is trained on."""
MEASURING_SEED = 46_000
"""Seed of the first instance that is measured."""


@dataclass(frozen=True)
class Arguments:
    """Find templates that E2E can learn."""

    mixed: Path = Path("benchmarks/results/mixed-templates.json")
    """What benchmarks.mixed_templates wrote for the model."""
    model: str = BASE_MODELS["web"]
    """The model to train."""
    turns: int = 6000
    """Turns of the training."""
    rate: float = 2e-4
    """Learning rate of the training."""
    instances: int = 16
    """Instances of each template that are measured, and half as many that are trained on."""
    samples: int = 3
    """Tries of each, before and after."""
    out: Path = Path("runs/learnable-templates")
    """Run directory, with the ranking; an unfinished training in it goes on."""

    def __post_init__(self) -> None:
        """Refuse numbers that measure nothing.

        Raises:
            ValueError: There are too few turns, instances or samples.
        """
        if self.turns < 1 or self.instances < 2 or self.samples < 1:
            raise ValueError(
                "expected at least 1 turn, 2 instances and 1 sample, got "
                f"{self.turns}, {self.instances} and {self.samples}"
            )


@dataclass(frozen=True, slots=True)
class LearnableTemplate:
    """A template before and after the training."""

    template: str
    before: float
    """Share of successful tries of the model."""
    after: float
    """The same after the training."""
    turns: float
    """Mean turns of a try of the model, as in the file of mixed templates."""

    @property
    def gain(self) -> float:
        """By how much the share grew."""
        return self.after - self.before


def candidates(path: Path) -> dict[str, float]:
    """Return templates with both outcomes and two turns or more, with their mean turns.

    Raises:
        ValueError: The file is not one of ``mixed_templates``.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(one["template"]): float(one["turns"])
            for one in found
            if 0 < one["success"] < 1 and one["turns"] >= 2 and one["template"] not in UNSEEN
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected a file that benchmarks.mixed_templates wrote, got {path}: {error!r:.200}"
        ) from error


def measure(arguments: Arguments, console: Console) -> list[LearnableTemplate]:
    """Measure the candidates, train, and measure again.

    Raises:
        ValueError: There is no candidate.
        RecordError: The run directory holds another run.
    """
    turns = candidates(arguments.mixed)
    if not turns:
        raise ValueError(f"no template in {arguments.mixed} has several turns and both outcomes")
    trained_on = _instances(turns, TRAINING_SEED, arguments.instances // 2)
    measured = _instances(turns, MEASURING_SEED, arguments.instances)
    protocol = replace(
        protocol_for("full", "web"),
        turn_budget=arguments.turns,
        validate_every_turns=arguments.turns,
        validation_samples=1,
        rl_learning_rate=arguments.rate,
    )
    torch.set_num_threads(protocol.threads)
    domain, run = WebDomain(), RunDirectory(arguments.out)
    config = configuration(protocol, arguments.model, domain, None, "cpu")
    run.claim({**config, "trained_on": trained_on, "measured": measured})
    base = LLMPolicy.load(arguments.model, max_new_tokens=protocol.max_new_tokens)
    base.model.requires_grad_(False)
    draw = TaskDraw(
        trained_on, validation=measured[:: arguments.instances], test=(), unseen=(), drills={}
    )
    with progress_bars(console) as progress:
        study = Study(protocol, domain, draw, base, run, progress)
        before = _successes(study, base, measured, arguments.samples, "before")
        with Evaluator(study) as evaluator:
            policy = train(Arm("E2E", TRAINING_SEED, study, evaluator, ())).policy
        after = _successes(study, policy, measured, arguments.samples, "after")
    found = [LearnableTemplate(name, before[name], after[name], turns[name]) for name in turns]
    run.write_json("learnable-templates.json", [asdict(one) for one in ranked(found)])
    return ranked(found)


def _instances(templates: Iterable[str], first: int, count: int) -> tuple[str, ...]:
    return tuple(f"{name}#{first + number}" for name in templates for number in range(count))


def _successes(
    study: Study, policy: LLMPolicy, task_ids: Sequence[str], samples: int, label: str
) -> dict[str, float]:
    """Return each template's share of successful tries."""
    protocol: Protocol = study.protocol
    sampled = policy.with_temperature(1.0, seed=0)
    starts = [Start(options={"task_id": task_id}) for task_id in task_ids]
    make_env = study.domain.env_maker(task_ids, protocol)
    with (
        EnvPool(make_env, protocol.pool_size) as pool,
        study.bar(label, len(starts) * samples * protocol.max_turns) as advance,
    ):
        found = evaluate(sampled, pool, starts, samples_per_start=samples, on_turn=advance)
    tries: dict[str, list[bool]] = {}
    for task_id, one in zip(found.task_ids, found.successes, strict=True):
        tries.setdefault(task_id.partition("#")[0], []).extend(one)
    return {name: float(np.mean(each)) for name, each in tries.items()}


def ranked(found: Sequence[LearnableTemplate]) -> list[LearnableTemplate]:
    """Return the templates, those with the largest gain first."""
    return sorted(found, key=lambda one: (-one.gain, one.template))


def main(arguments: Arguments) -> None:
    """Measure and print."""
    console = Console()
    found = measure(arguments, console)
    table = Table(title=f"{arguments.model}, T=1, E2E for {arguments.turns} turns")
    for name in ("template", "before %", "after %", "gain", "turns"):
        table.add_column(name, justify="left" if name == "template" else "right")
    for one in found:
        shares = (f"{100 * share:.0f}" for share in (one.before, one.after))
        table.add_row(one.template, *shares, f"{100 * one.gain:+.0f}", f"{one.turns:.1f}")
    console.print(table)


if __name__ == "__main__":
    try:
        main(tyro.cli(Arguments))
    except (PivotError, ValueError) as error:
        sys.exit(f"error: {error}")
