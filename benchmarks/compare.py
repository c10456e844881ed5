"""Compare SFT, E2E and pivot: same base model, same demonstrations, same turn budget.

``python -m benchmarks.compare --preset quick`` trains and evaluates the arms, prints a table and
writes results.json, curves.png, bars.png and report.html. The protocol is in README.md.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console

import pivot_envs  # noqa: F401  registers the environments
from benchmarks.arguments import Arguments
from benchmarks.arm_options import Plan
from benchmarks.arms import Arm, train
from benchmarks.deadline import UNFINISHED, Deadline, TimeIsUp
from benchmarks.devices import find_device, gpu_name
from benchmarks.domains import BASE_MODELS, Domain, find_domain
from benchmarks.evaluations import Evaluator, Measurements
from benchmarks.plots import draw_bars, draw_curves
from benchmarks.protocol import Protocol
from benchmarks.report import print_table, render_html
from benchmarks.results import ArmRecord, Results
from benchmarks.run_directory import RunDirectory
from benchmarks.study import Study, collect_demonstrations, configuration, progress_bars
from benchmarks.summary import summarise
from pivot_agents.llm import LLMPolicy
from pivot_agents.pool import Backend
from pivot_envs.errors import PivotError, RecordError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
DEFAULT_PLAN = Plan()


def compare(
    protocol: Protocol,
    *,
    model: str,
    out: Path,
    console: Console,
    domain: Domain | None = None,
    other: Domain | None = None,
    plan: Plan = DEFAULT_PLAN,
    minutes: float | None = None,
    device: str = "cpu",
    pool: Backend = "threads",
) -> Results | None:
    """Run a comparison, or what is left of it, and write its report.

    Args:
        protocol: Every number of it.
        model: Folder or hub id of the base model.
        out: The run directory.
        console: Where progress and the table go.
        domain: What it runs on; by default the shipped coding tasks.
        other: A domain to measure what is forgotten on.
        plan: Which arms to run; finished ones of other calls are not shown.
        minutes: Stop at the next step after so many; ``None`` goes to the end.
        device: Where the model runs.
        pool: Where environments are held. In other processes each has a memory of its own of what
            was executed (``RememberedSteps``), so that more is, and seconds are not comparable.

    Returns:
        What was measured; ``None`` if the plan has single jobs.

    Raises:
        TimeIsUp: The minutes have passed. All work is kept; the same call goes on.
        RecordError: ``out`` holds a run of another configuration.
        ModelError: There is no causal language model with a chat template.
        TaskError: The task file is damaged or has too few tasks.
        InfraError: The sandbox cannot be used.
        ValueError: A job is unknown, or ``minutes`` is negative.
    """
    jobs, deadline = plan.jobs(protocol.seeds), Deadline(minutes)
    torch.set_num_threads(protocol.threads)
    domain = domain or find_domain("coding")
    draw = domain.draw(protocol)
    base = LLMPolicy.load(model, device=device, max_new_tokens=protocol.max_new_tokens)
    base.model.requires_grad_(False)
    run = RunDirectory(out, deadline)
    config = configuration(protocol, model, domain, other, device)
    config |= {"headline": plan.headline}
    if pool != "threads":
        config |= {"pool": pool}
    if run.claim(config):
        console.print(f"going on with the run in {out}")
    with progress_bars(console) as progress:
        study = Study(protocol, domain, draw, base, run, progress, other, pool)
        if jobs:
            _carry_out(study, plan, jobs)
            return None
        scores, records = _measure(study, plan)
    config |= {"tuned": {name: dict(plan.settings(name)) for name in plan.arms}}
    facts = _facts(study, config) | {"tried": dict(plan.tried or {}), "untuned": plan.untuned}
    results = summarise(scores, records, facts, headline=plan.headline)
    _write(run, results, scores)
    print_table(results, console)
    for file in ("report.html", "results.json", "curves.png", "bars.png"):
        console.print(f"{out / file}", soft_wrap=True)
    return results


def _measure(study: Study, plan: Plan) -> tuple[dict[str, list[Measurements]], list[ArmRecord]]:
    """Run every stage that is not done yet."""
    demonstrations = collect_demonstrations(study)
    seeds = range(study.protocol.seeds)
    with Evaluator(study) as evaluator:
        base = study.base.with_temperature(1.0, seed=0)
        domain = study.domain
        scores = {"nothing": [evaluator.baseline("nothing", domain.nothing, repeat=False)]}
        for name, make in domain.baselines(base.with_temperature(1.0, seed=1_000)).items():
            folder = name.replace(", ", "-").replace(" ", "-")
            scores[name] = [evaluator.baseline(folder, make)]
        scores["base"] = [evaluator.everything("base", base, seed=0)]
        records = []
        for name in plan.arms:
            its_study = _tuned_study(study, plan, name)
            arms_of = [Arm(name, seed, its_study, evaluator, demonstrations) for seed in seeds]
            runs = [_run_arm(arm) for arm in arms_of]
            records += [record for record, _ in runs]
            scores[name] = [measured for _, measured in runs]
    return scores, records


def _carry_out(study: Study, plan: Plan, jobs: Sequence[tuple[str, int]]) -> None:
    """Run some arms of some seeds, as far as they are not done yet."""
    demonstrations = collect_demonstrations(study)
    with Evaluator(study) as evaluator:
        for name, seed in jobs:
            its_study = _tuned_study(study, plan, name)
            _run_arm(Arm(name, seed, its_study, evaluator, demonstrations))
            study.say(f"{name}, seed {seed}: done")


def _tuned_study(study: Study, plan: Plan, arm: str) -> Study:
    """Return the study with an arm's settings, to which the run directory then keeps.

    Raises:
        RecordError: The arm has run there with others.
    """
    settings: dict[str, Any] = dict(plan.settings(arm))
    kept = study.run.stage(f"settings/{arm}.json", lambda: settings)
    if kept != settings:
        raise RecordError(
            f"{study.run.path} holds {arm} with the settings {kept}, this command has {settings}; "
            "give the same --tuned, or another --out"
        )
    return replace(study, protocol=replace(study.protocol, **settings))


def _run_arm(arm: Arm) -> tuple[ArmRecord, Measurements]:
    """Train an arm of one seed and evaluate it."""
    trained = train(arm)
    label = f"{arm.name}-seed-{arm.seed}"
    return trained.record, arm.evaluator.everything(label, trained.policy, seed=arm.seed)


def _facts(study: Study, config: dict[str, Any]) -> dict[str, Any]:
    """Return what the report says of the run beside its numbers."""
    draw, other = study.draw, study.other
    others = dict(draw.drills)
    if draw.elsewhere:
        others["elsewhere"] = draw.elsewhere
    if other is not None:
        others[other.name] = other.draw(study.protocol).test
    kept = study.run.stage("config.json", dict)
    return {
        "config": config,
        "made_with": {**kept["made_with"], "gpu": gpu_name(study.base.model.device)},
        "model_parameters": sum(each.numel() for each in study.base.model.parameters()),
        "tasks": {
            name: len(getattr(draw, name)) for name in ("train", "validation", "test", "unseen")
        },
        "sets": dict(study.domain.sets),
        "drills": {family: len(ids) for family, ids in others.items()},
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
    name = given.preset if given.domain == "coding" else f"{given.domain}-{given.preset}"
    out = given.out or Path("runs") / f"compare-{name}"
    console = Console()
    try:
        plan = given.plan()
        compare(
            given.protocol(),
            model=given.model or BASE_MODELS[given.domain],
            out=out,
            console=console,
            domain=find_domain(given.domain, given.tasks),
            other=None if given.other is None else find_domain(given.other),
            plan=plan,
            minutes=given.minutes,
            device=find_device(given.device, given.preset),
            pool=given.pool,
        )
    except (KeyboardInterrupt, TimeIsUp) as stop:
        again = shlex.join(sys.argv[1:] if arguments is None else list(arguments))
        is_over = isinstance(stop, TimeIsUp)
        why = "time is up" if is_over else "\nstopped"
        console.print(f"{why}; what is finished is kept in {out}. To go on with the rest:")
        console.print(f"python -m benchmarks.compare {again}", soft_wrap=True)
        return UNFINISHED if is_over else INTERRUPTED
    except (PivotError, ValueError, ImportError) as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
