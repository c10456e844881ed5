"""Measure the learner beside what people use: TRL's GRPOTrainer, and ``generate`` at every turn.

``python -m benchmarks.training_speed`` lets both sides take turns in one run and prints medians and
ratios. It needs the extra ``trl``.
"""

import functools
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.generation_speed import (
    COMPLETION_TOKENS,
    measure_generation,
    measure_packing,
)
from benchmarks.one_turn import OneTurnEnv, roll_out_alternating
from benchmarks.run_directory import surroundings
from benchmarks.side_by_side import Comparison, Times
from benchmarks.trl_trainer import TakeTurns, grpo_settings, trl_trainer
from pivot_agents.llm import LLMPolicy
from pivot_agents.policy import Context
from pivot_agents.pool import EnvPool
from pivot_agents.trainers.metrics import StepMetrics
from pivot_agents.trainers.policy_gradient import PolicyGradientConfig, PolicyGradientTrainer
from pivot_envs import Message
from pivot_envs.coding.task_file import default_tasks_path, read_tasks
from pivot_envs.errors import PivotError

LEARNING_RATE = 1e-5
KL_COEF = 0.05


@dataclass(frozen=True)
class Arguments:
    """Measure the learner beside TRL and generate."""

    model: str = "benchmarks/models/base"
    """Folder or hub id of a causal language model with a chat template."""
    steps: int = 7
    """Repetitions that count, after one that warms up."""
    pivots: int = 16
    """Prompts of a training step."""
    samples: int = 8
    """Completions of each prompt."""
    prompt_tokens: int = 256
    """Least tokens of a prompt."""
    turns: int = 6
    """Turns of the episodes that generation is measured on."""
    threads: int = 1
    """Threads of torch."""
    out: Path | None = None
    """JSON file to write."""


def measure_step(policy: LLMPolicy, prompts: Sequence[str], samples: int, steps: int) -> Comparison:
    """Compare training steps on the same prompts: sampling, rewards, KL to the base, update.

    Completions are of one length and every group is mixed, so that both sides do the same work.

    Raises:
        ModuleNotFoundError: TRL is not installed.
    """
    ours, theirs = Times("ours"), Times("TRL GRPOTrainer")
    config = PolicyGradientConfig(
        max_steps=steps + 1,
        groups_per_step=len(prompts),
        group_size=samples,
        learning_rate=LEARNING_RATE,
        kl_coef=KL_COEF,
    )
    seen: list[StepMetrics] = []
    make_env = functools.partial(OneTurnEnv, prompts)
    with EnvPool(make_env, 64) as pool, tempfile.TemporaryDirectory() as folder:
        student = policy.with_adapter()
        # All completions are as long as they may be, as they are on the other side.
        student.sampling = replace(student.sampling, end_id=-1)
        own = PolicyGradientTrainer(student, pool, config, roll_out=roll_out_alternating).train()

        def step() -> None:
            with ours.measured():
                seen.append(next(own))

        settings = grpo_settings(
            policy,
            len(prompts),
            samples,
            max_steps=steps + 1,
            learning_rate=LEARNING_RATE,
            beta=KL_COEF,
            output_dir=folder,
        )
        trl = trl_trainer(policy, prompts, settings, TakeTurns(theirs, step))
        trl.train()
    for times in (ours, theirs):
        times.forget_first()
    name = f"training step, {len(prompts)} pivots of {samples} samples"
    facts = _facts(seen, trl.state.log_history, len(prompts) * samples, (ours, theirs))
    return Comparison(name, ours, theirs, target=6.0, facts=facts)


def _facts(
    seen: Sequence[StepMetrics],
    logged: Sequence[dict[str, float]],
    samples: int,
    times: Sequence[Times],
) -> dict[str, Any]:
    """Return what both sides really did, which should be alike."""
    lines = [line for line in logged if "completions/mean_length" in line]
    return {
        "samples_per_s": {
            one.name: round(samples / statistics.median(one.wall_s), 1) for one in times
        },
        "mean_completion_tokens": {
            "ours": statistics.mean(one.generated_tokens / one.turns for one in seen),
            "TRL": statistics.mean(line["completions/mean_length"] for line in lines),
        },
        "mean_reward": {
            "ours": statistics.mean(one.reward_mean or 0.0 for one in seen),
            "TRL": statistics.mean(line["reward"] for line in lines),
        },
        "zero_variance_share": statistics.mean(one.zero_variance_share or 0.0 for one in seen),
    }


def draw_prompts(policy: LLMPolicy, count: int, least_tokens: int) -> list[str]:
    """Return texts of at least so many tokens, joined from issues of the shipped tasks."""
    issues = sorted({task.issue for task in read_tasks(default_tasks_path())})
    prompts = []
    for start in range(count):
        parts: list[str] = []
        while len(_ids(policy, "\n".join(parts))) < least_tokens:
            parts.append(issues[(start + 7 * len(parts)) % len(issues)])
        prompts.append("\n".join(parts))
    return prompts


def _ids(policy: LLMPolicy, text: str) -> tuple[int, ...]:
    return policy.chat.prompt_ids(Context((Message("user", text),), ()))


def main(arguments: Arguments) -> None:
    """Measure, print, and write.

    Raises:
        SystemExit: The model cannot be loaded, or TRL is not installed.
    """
    torch.set_num_threads(arguments.threads)
    steps, comparisons = arguments.steps, list[Comparison]()
    try:
        policy = LLMPolicy.load(arguments.model, max_new_tokens=COMPLETION_TOKENS)
        policy.model.requires_grad_(False)
        texts = draw_prompts(policy, arguments.pivots, arguments.prompt_tokens)
        ids = [_ids(policy, text) for text in texts]
        measures: tuple[Callable[[], Comparison], ...] = (
            lambda: measure_generation(policy, ids, arguments.turns, steps),
            lambda: measure_packing(policy, ids, arguments.samples, steps),
            lambda: measure_step(policy, texts, arguments.samples, steps),
        )
        for measure in measures:
            comparisons.append(measure())
            print(comparisons[-1].summary, flush=True)
    except PivotError as error:
        raise SystemExit(f"error: {error}") from error
    except ModuleNotFoundError as error:
        raise SystemExit(f"error: {error}; run pip install 'pivotrl-envs[train,trl]'") from error
    _print(comparisons)
    if arguments.out is not None:
        content = {
            "arguments": {**asdict(arguments), "out": None},
            "load": os.getloadavg(),
            "made_with": surroundings(),
            "comparisons": [one.as_dict() for one in comparisons],
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(content, indent=2) + "\n")


def _print(comparisons: Sequence[Comparison]) -> None:
    table = Table("", "median s", "min s", "median CPU s", "ratio wall", "ratio CPU", "target")
    for each in comparisons:
        table.add_row(each.name, "", "", "", "", "", "", style="bold")
        for one in (each.ours, each.other):
            ours = one is each.ours
            table.add_row(
                f"  {one.name}",
                f"{statistics.median(one.wall_s):.3f}",
                f"{min(one.wall_s):.3f}",
                f"{statistics.median(one.cpu_s):.3f}",
                f"{each.wall_ratio:.1f}" if ours else "",
                f"{each.cpu_ratio:.1f}" if ours else "",
                f"{each.target:g}" if ours and each.target is not None else "",
            )
    console = Console()
    console.print(table)
    for each in comparisons:
        console.print(f"{each.name}: {each.facts}")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
