"""Compare SFT, E2E and pivot: same base model, same demonstrations, same turn budget.

``python -m benchmarks.compare --preset quick`` trains and evaluates the arms, prints a table and
writes results.json, curves.png, bars.png and report.html. The protocol is in README.md.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from rich.console import Console

import pivot_envs  # noqa: F401  registers the environments
from benchmarks.arms import ARMS, Arm
from benchmarks.baselines import RandomEditor, WithoutListing, do_nothing
from benchmarks.evaluations import Evaluator, Measurements
from benchmarks.plots import draw_bars, draw_curves
from benchmarks.protocol import PRESETS, Protocol, draw_tasks
from benchmarks.report import print_table, render_html
from benchmarks.results import ArmRecord, Results
from benchmarks.run_directory import RunDirectory, fingerprint
from benchmarks.study import Study, collect_demonstrations, progress_bars
from benchmarks.summary import summarise
from pivot_agents.llm import LLMPolicy
from pivot_envs.coding.task_file import default_tasks_path, read_tasks
from pivot_envs.errors import PivotError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


@dataclass(frozen=True)
class Arguments:
    """Compare SFT, E2E and pivot on one base model."""

    preset: Literal["quick", "full"] = "quick"
    """``quick`` takes minutes on two CPU cores, ``full`` hours; see benchmarks/README.md."""
    model: str = "benchmarks/models/base"
    """Folder or hub id of a causal language model with a chat template."""
    out: Path | None = None
    """Run directory; ``runs/compare-<preset>`` by default. An unfinished run in it goes on."""
    tasks: Path | None = None
    """Task file; the shipped one by default."""
    seeds: int | None = None
    """How often each arm is run; the preset's number by default."""
    max_lines: int | None = None
    """Longest function body of a task, in lines; the preset's by default."""
    device: str = "cpu"
    """Where the model runs."""


def compare(
    protocol: Protocol,
    *,
    model: str,
    out: Path,
    console: Console,
    tasks_path: Path | None = None,
    device: str = "cpu",
) -> Results:
    """Run a comparison, or what is left of it, and write its report.

    Args:
        protocol: Every number of it.
        model: Folder or hub id of the base model.
        out: The run directory.
        console: Where progress and the table go.
        tasks_path: Task file; ``None`` is the shipped one.
        device: Where the model runs.

    Raises:
        RecordError: ``out`` holds a run of another configuration.
        ModelError: There is no causal language model with a chat template.
        TaskError: The task file is damaged or has too few tasks.
        InfraError: The sandbox cannot be used.
    """
    torch.set_num_threads(protocol.threads)
    tasks = {task.task_id: task for task in read_tasks(tasks_path or default_tasks_path())}
    draw = draw_tasks(tasks.values(), protocol)
    base = LLMPolicy.load(model, device=device, max_new_tokens=protocol.max_new_tokens)
    base.model.requires_grad_(False)
    run = RunDirectory(out)
    config = _config(protocol, model, tasks_path, device)
    if run.claim(config):
        console.print(f"going on with the run in {out}")
    with progress_bars(console) as progress:
        study = Study(protocol, tasks_path, tasks, draw, base, run, progress)
        scores, records = _measure(study)
    results = summarise(scores, records, _facts(study, config))
    _write(run, results, scores)
    print_table(results, console)
    for file in ("report.html", "results.json", "curves.png", "bars.png"):
        console.print(f"{out / file}", soft_wrap=True)
    return results


def _measure(study: Study) -> tuple[dict[str, list[Measurements]], list[ArmRecord]]:
    """Run every stage that is not done yet."""
    demonstrations = collect_demonstrations(study)
    seeds = range(study.protocol.seeds)
    with Evaluator(study) as evaluator:
        base = study.base.with_temperature(1.0, seed=0)
        scores = {
            "nothing": [evaluator.baseline("nothing", do_nothing, repeat=False)],
            "random edit": [evaluator.baseline("random-edit", RandomEditor)],
            "base, listing withheld": [
                evaluator.baseline(
                    "listing-withheld",
                    lambda: WithoutListing(base.with_temperature(1.0, seed=1_000)),
                )
            ],
            "base": [evaluator.everything("base", base, seed=0)],
        }
        records = []
        for name, train in ARMS.items():
            scores[name] = []
            for seed in seeds:
                trained = train(Arm(name, seed, study, evaluator, demonstrations))
                records.append(trained.record)
                label = f"{name}-seed-{seed}"
                scores[name].append(evaluator.everything(label, trained.policy, seed=seed))
    return scores, records


def _config(protocol: Protocol, model: str, tasks_path: Path | None, device: str) -> dict[str, Any]:
    """Return everything that decides the results."""
    folder = Path(model)
    weights = fingerprint(folder.glob("*.*")) if folder.is_dir() else "from the hub"
    return {
        "protocol": asdict(protocol),
        "model": {"name": model, "files_sha256": weights},
        "tasks_sha256": fingerprint([tasks_path or default_tasks_path()]),
        "device": device,
    }


def _facts(study: Study, config: dict[str, Any]) -> dict[str, Any]:
    """Return what the report says of the run beside its numbers."""
    draw = study.draw
    kept = study.run.stage("config.json", dict)
    return {
        "config": config,
        "made_with": kept["made_with"],
        "model_parameters": sum(each.numel() for each in study.base.model.parameters()),
        "tasks": {
            name: len(getattr(draw, name)) for name in ("train", "validation", "test", "unseen")
        },
        "drills": {family: len(ids) for family, ids in draw.drills.items()},
        "demonstrations": study.run.stage("demonstrations.json", dict),
    }


def _write(run: RunDirectory, results: Results, scores: dict[str, list[Measurements]]) -> None:
    """Write results.json, the plots and the report."""
    evaluations = {
        name: [{key: asdict(result) for key, result in each.items()} for each in seeds]
        for name, seeds in scores.items()
    }
    run.write_json("results.json", {**asdict(results), "evaluations": evaluations})
    curves, bars = draw_curves(results), draw_bars(results)
    run.write_bytes("curves.png", curves)
    run.write_bytes("bars.png", bars)
    run.write_bytes("report.html", render_html(results, curves=curves, bars=bars).encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = tyro.cli(Arguments, args=arguments)
    protocol = PRESETS[given.preset]
    if given.seeds is not None:
        protocol = replace(protocol, seeds=max(1, given.seeds))
    if given.max_lines is not None:
        protocol = replace(protocol, max_lines=given.max_lines)
    out = given.out or Path("runs") / f"compare-{given.preset}"
    console = Console()
    try:
        compare(
            protocol,
            model=given.model,
            out=out,
            console=console,
            tasks_path=given.tasks,
            device=given.device,
        )
    except KeyboardInterrupt:
        again = shlex.join(sys.argv[1:] if arguments is None else list(arguments))
        console.print(f"\nstopped; what is finished is kept in {out}. To go on with the rest:")
        console.print(f"python -m benchmarks.compare {again}", soft_wrap=True)
        return INTERRUPTED
    except PivotError as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
