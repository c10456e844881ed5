"""Tune every arm with the same number of trials on the validation tasks, and keep the search log.

``python -m benchmarks.tuning --preset quick --arms SFT E2E pivot`` writes ``tuning.json``: every
trial, and the settings that were best. ``benchmarks.compare --tuned FILE`` uses them. No held-out
task is touched, and the trials' seeds are none of the comparison's.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console

import pivot_envs  # noqa: F401  registers the environments
from benchmarks.arm_options import ARMS, MAIN_ARMS, check_arms
from benchmarks.arms import Arm, train
from benchmarks.deadline import UNFINISHED, Deadline, TimeIsUp
from benchmarks.devices import find_device
from benchmarks.domains import BASE_MODELS, DomainName, find_domain
from benchmarks.evaluations import Evaluator
from benchmarks.protocol import PresetName, Protocol, protocol_for
from benchmarks.results import CurvePoint
from benchmarks.run_directory import RunDirectory
from benchmarks.study import Study, collect_demonstrations, configuration, progress_bars
from pivot_agents.llm import LLMPolicy
from pivot_envs.errors import PivotError, RecordError

TRIALS = 4
"""Most trials of an arm."""
TUNING_SEED = 1_000
"""Seed of the trials; comparisons count theirs from 0."""
_IMITATION_RATES = (5e-4, 1e-3, 2e-4, 2e-3)
_RL_TRIALS = ((1e-3, 0.02, 1.0), (1e-3, 0.02, 0.5), (5e-4, 0.02, 0.5), (2e-3, 0.1, 1.0))
"""Learning rate, coefficient of the KL, and share of the protocol's groups in a step."""


@dataclass(frozen=True)
class Arguments:
    """Tune every arm with the same number of trials on the validation tasks."""

    preset: PresetName = "quick"
    """Whose turn budget and tasks are used."""
    domain: DomainName = "coding"
    """What is tuned on."""
    model: str | None = None
    """Folder or hub id of a causal language model with a chat template; the domain's shipped one by
    default."""
    arms: tuple[str, ...] = MAIN_ARMS
    """Which arms to tune."""
    trials: int = TRIALS
    """How many settings to try for each arm, the first of its list; 1 to 4."""
    out: Path = Path("runs/tuning")
    """Run directory; an unfinished search in it goes on."""
    device: str | None = None
    """Where the model runs; as in benchmarks.compare."""
    minutes: float | None = None
    """Stop at the next step after so many minutes; the same command goes on."""


def trials(name: str, protocol: Protocol) -> list[dict[str, float]]:
    """Return the settings to try for an arm, numbers of ``Protocol`` by name; ``TRIALS`` of them.

    RL arms have rates, with the protocol's groups in each step or with half of them: smaller steps
    update the policy more often for the same turns.
    """
    options = ARMS[name]
    if options.learning == "imitation":
        return [{"sft_learning_rate": rate} for rate in _IMITATION_RATES]
    groups = "pivot_groups" if options.is_local else "e2e_groups"
    return [
        {
            "rl_learning_rate": rate,
            **({"kl_coef": kl_coef} if options.has_kl else {}),
            groups: max(1, int(share * getattr(protocol, groups))),
        }
        for rate, kl_coef, share in _RL_TRIALS
    ]


def mean_success(curve: Sequence[CurvePoint], profile_turns: int = 0) -> float:
    """Return the mean validation success over the points of a curve at which it had been trained.

    A single point of few episodes says little, and the best of several such points says less.
    The early ones count as much as the late, since the claim is about the cost of getting there.
    """
    trained = [point.success for point in curve if point.turns > profile_turns]
    points = trained or [curve[-1].success]
    return sum(points) / len(points)


def tune(study: Study, names: Sequence[str], count: int = TRIALS) -> dict[str, Any]:
    """Run every trial that is not done yet, and return the search log.

    Args:
        study: What is tuned on.
        names: The arms.
        count: Trials of each arm.

    Raises:
        ValueError: An arm is unknown, or the count is not from 1 to ``TRIALS``.
        InfraError: The sandbox cannot be used.
    """
    if not 1 <= count <= TRIALS:
        raise ValueError(f"expected 1 to {TRIALS} trials of each arm, got {count}")
    demonstrations = collect_demonstrations(study)
    log: dict[str, Any] = {"seed": TUNING_SEED, "trials": {}, "best": {}}
    with Evaluator(study) as evaluator:
        for name in check_arms(names):
            done: list[dict[str, Any]] = []
            for number, settings in enumerate(trials(name, study.protocol)[:count]):
                numbers: Mapping[str, Any] = settings
                tried = replace(study, protocol=replace(study.protocol, **numbers))
                arm = Arm(name, TUNING_SEED, tried, evaluator, demonstrations, f"trial-{number}")
                record = train(arm).record
                profile_turns = record.profile.get("turns", 0)
                success = mean_success(record.curve, profile_turns)
                done.append(
                    {
                        "settings": settings,
                        "validation_success": success,
                        "curve": [asdict(point) for point in record.curve],
                        "profile_turns": profile_turns,
                        "silent_share": record.silent_share,
                        "wall_s": record.profile_wall_s + record.train_wall_s,
                    }
                )
                study.say(f"{name}, {settings}: {100 * success:.1f} % of validation episodes")
            log["trials"][name] = done
            # The first of equals counts.
            log["best"][name] = max(done, key=lambda trial: trial["validation_success"])["settings"]
    return log


def read_tuned(path: Path) -> Mapping[str, Mapping[str, float]]:
    """Return the best settings of each arm from a search log.

    Raises:
        RecordError: The file is no search log.
    """
    try:
        best = json.loads(path.read_text(encoding="utf-8"))["best"]
        for name, settings in best.items():
            if name not in ARMS or set(settings) - set(Protocol.__dataclass_fields__):
                raise ValueError(f"unknown arm or setting in {name!r}: {settings}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"{path} is no search log of benchmarks.tuning ({error!r:.200})"
        ) from error
    return dict(best)


def read_tried(path: Path) -> Mapping[str, float]:
    """Return the validation success of each arm's best trial from a search log.

    It is computed from the curves: older logs were judged by other rules.

    Raises:
        RecordError: The file is no search log.
    """
    try:
        trials_of = json.loads(path.read_text(encoding="utf-8"))["trials"]
        return {name: max(_success_of(trial) for trial in done) for name, done in trials_of.items()}
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise RecordError(
            f"{path} is no search log of benchmarks.tuning ({error!r:.200})"
        ) from error


def _success_of(trial: Mapping[str, Any]) -> float:
    curve = [CurvePoint(**point) for point in trial["curve"]]
    return mean_success(curve, trial.get("profile_turns", 0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given, console = tyro.cli(Arguments, args=arguments), Console()
    protocol = protocol_for(given.preset, given.domain)
    torch.set_num_threads(protocol.threads)
    try:
        check_arms(given.arms)
        domain = find_domain(given.domain)
        model = given.model or BASE_MODELS[given.domain]
        device = find_device(given.device, given.preset)
        base = LLMPolicy.load(model, device=device, max_new_tokens=protocol.max_new_tokens)
        base.model.requires_grad_(False)
        run = RunDirectory(given.out, Deadline(given.minutes))
        run.claim(configuration(protocol, model, domain, None, device))
        with progress_bars(console) as progress:
            study = Study(protocol, domain, domain.draw(protocol), base, run, progress)
            log = tune(study, given.arms, given.trials)
    except TimeIsUp:
        console.print(
            f"time is up; what is finished is kept in {given.out}, and the same command goes on"
        )
        return UNFINISHED
    except (PivotError, ValueError, ImportError) as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    console.print(f"{run.write_json('tuning.json', log)}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
