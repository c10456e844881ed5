"""Measure each verifier's false positives and negatives against outcomes, on real coding tasks."""

import importlib.metadata
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import tyro
from rich.console import Console
from rich.table import Table

import pivot_envs  # noqa: F401  registers the environments
from pivot_agents.audit.actions import Action, scripted_actions
from pivot_agents.audit.labels import PROGRESS, LabelledAction, State, label_actions
from pivot_agents.audit.repair import Repair
from pivot_agents.audit.scores import VerifierScore, by_kind, score
from pivot_agents.expert import CodingExpert
from pivot_agents.llm import LLMPolicy
from pivot_agents.needed import needed_candidates
from pivot_agents.policy import Policy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.profiling import extract_candidates
from pivot_agents.rollout import rollout
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.errors import PivotError, TaskError
from wrappers import PivotResetWrapper, Verifier
from wrappers.similarity import SEARCH_THRESHOLD, SWE_THRESHOLD, Similarity
from wrappers.verifiers import VERIFIERS, Guarded

AUDITED: dict[str, Verifier] = {
    **VERIFIERS,
    "name, guarded": Guarded(VERIFIERS["name"]),
    "similarity 0.3": Similarity(SEARCH_THRESHOLD),
    "similarity 0.0": Similarity(SWE_THRESHOLD, as_published=True),
}
JUDGES = (*AUDITED, PROGRESS)


@dataclass(frozen=True)
class Arguments:
    """Measure verifiers against outcomes; the labelled set is built by execution."""

    count: int = 16
    """Tasks."""
    tasks: str | None = None
    """A source of mutation tasks; the shipped file by default."""
    split: str = "train"
    """Their split."""
    model: str | None = None
    """Folder or hub id of a model whose own actions are judged too."""
    samples: int = 4
    """Actions that the model samples in each state."""
    out: Path | None = None
    """JSON file for the results."""
    pool_size: int = 8
    """Sandboxes side by side."""
    max_output_chars: int = 600
    """Longest observation; what the shipped model was trained with."""
    seed: int = 0
    """Seed of the tasks and of the forms of actions."""


def audit(given: Arguments, console: Console) -> dict[str, Any]:
    """Build the labelled set, print the tables and return the results as JSON-able data.

    Raises:
        TaskError: The source has no task that can be used.
        InfraError: The sandbox cannot be used.
    """
    tasks = TaskSet(given.tasks, split=given.split)
    repairs = _draw(tasks, given)
    make_env = partial(
        gym.make,
        "pivot/Coding-v0",
        tasks=given.tasks,
        task_ids=tuple(repairs),
        max_output_chars=given.max_output_chars,
        disable_env_checker=True,
    )
    states = _states(tasks, repairs, make_env, given)
    if given.model is not None:
        policy = LLMPolicy.load(given.model)
        states = _with_samples(states, policy, make_env, given)
    console.print(f"{len(repairs)} tasks, {len(states)} states; executing their actions")
    labelled = label_actions(states, make_env, AUDITED, pool_size=given.pool_size)
    scripted = [one for one in labelled if one.action.kind != "sampled"]
    sampled = [one for one in labelled if one.action.kind == "sampled"]
    sets = {"scripted": scripted, **({"sampled": sampled} if sampled else {})}
    for name, actions in sets.items():
        _print(f"{name} actions", actions, console)
    return {
        "command": _command(given),
        "packages": {
            name: importlib.metadata.version(name) for name in ("pivotrl-envs", "gymnasium")
        },
        "tasks": list(repairs),
        "states": len({one.state.pivot.pivot_id for one in labelled}),
        "sets": {name: _results(actions) for name, actions in sets.items()},
    }


def _draw(tasks: TaskSet, given: Arguments) -> dict[str, Repair]:
    """Return repairs of drawn tasks by id."""
    ids = list(tasks.ids)
    random.Random(given.seed).shuffle(ids)
    repairs: dict[str, Repair] = {}
    for task_id in ids:
        if len(repairs) == given.count:
            break
        task = tasks[task_id]
        try:
            repairs[task_id] = Repair.of(task, tasks.workspace(task))
        except TaskError:
            continue
    if not repairs:
        raise TaskError("the audit needs tasks with one bug on one line, and there is none")
    return repairs


def _states(
    tasks: TaskSet, repairs: dict[str, Repair], make_env: partial[Any], given: Arguments
) -> list[State]:
    starts = [Start(options={"task_id": task_id}) for task_id in repairs]
    with EnvPool(make_env, given.pool_size) as pool:
        expert = CodingExpert(tasks.__getitem__, seed=given.seed)
        demonstrations = rollout(pool, expert, starts, purpose="demonstrate", record_snapshots=True)
        needed = needed_candidates(demonstrations, pool)
    rests = {candidate.pivot_id: candidate.rest for candidate in needed}
    states = []
    for candidate in extract_candidates(demonstrations):
        pivot = replace(candidate, rest=rests.get(candidate.pivot_id, ()))
        repair = repairs[pivot.snapshot.task_id]
        actions = tuple(scripted_actions(pivot, repair, given.seed))
        states.append(State(pivot, repair, actions))
    return states


def _with_samples(
    states: Sequence[State], policy: Policy, make_env: partial[Any], given: Arguments
) -> list[State]:
    """Add what a model does in each state, each text once."""
    pivots = [state.pivot for state in states]
    starts = [
        Start(options={"pivot_id": pivot.pivot_id})
        for pivot in pivots
        for _ in range(given.samples)
    ]
    with EnvPool(lambda: PivotResetWrapper(make_env(), pivots), given.pool_size) as pool:
        episodes = rollout(pool, policy, starts, horizon=1)
    more = []
    for number, state in enumerate(states):
        mine = episodes[number * given.samples : (number + 1) * given.samples]
        texts = dict.fromkeys(one.transitions[0].action for one in mine if one.infra_error is None)
        new = tuple(Action("sampled", text) for text in texts)
        more.append(State(state.pivot, state.repair, (*state.actions, *new)))
    return more


def _print(title: str, actions: Sequence[LabelledAction], console: Console) -> None:
    good = sum(one.is_good for one in actions)
    table = Table(title=f"{title}: {good} good, {len(actions) - good} bad")
    for column in ("verifier", "paid though bad", "not paid though good", "undecided"):
        table.add_column(column, justify="left" if column == "verifier" else "right")
    for name in JUDGES:
        one = score(actions, name)
        undecided = one.undecided_good + one.undecided_bad
        table.add_row(
            name,
            _share(one.paid_bad, one.false_positive_rate),
            _share(one.missed, one.false_negative_rate),
            str(undecided),
        )
    console.print(table)


def _share(count: int, rate: float | None) -> str:
    return "-" if rate is None else f"{count} ({100 * rate:.0f} %)"


def _results(actions: Sequence[LabelledAction]) -> dict[str, Any]:
    return {
        "actions": len(actions),
        "good": sum(one.is_good for one in actions),
        "harmless": sum(one.is_harmless for one in actions),
        "verifiers": {name: _numbers(score(actions, name)) for name in JUDGES},
        "kinds": {
            kind: {
                "actions": len(group),
                "good": sum(one.is_good for one in group),
                "paid": {
                    name: score(group, name).paid_good + score(group, name).paid_bad
                    for name in JUDGES
                },
            }
            for kind, group in by_kind(actions).items()
        },
    }


def _numbers(one: VerifierScore) -> dict[str, Any]:
    return {
        **asdict(one),
        "false_positive_rate": one.false_positive_rate,
        "false_negative_rate": one.false_negative_rate,
    }


def _command(given: Arguments) -> str:
    defaults = asdict(Arguments())
    changed = [
        f"--{name.replace('_', '-')} {value}"
        for name, value in asdict(given).items()
        if value != defaults[name]
    ]
    return " ".join(["python -m pivot_agents.audit", *changed])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given, console = tyro.cli(Arguments, args=arguments), Console()
    try:
        results = audit(given, console)
    except PivotError as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        console.print(f"{given.out}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
