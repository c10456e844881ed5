"""Kinds of tasks, and how often each policy solves the tasks of each.

``python -m benchmarks.kinds RESULTS`` prints the table of a finished comparison from its
``results.json``; reports have it for the test tasks.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console

from benchmarks.evaluations import Measurements, result_from
from benchmarks.results import KindOfTask, pooled
from benchmarks.tables import print_lines
from pivot_envs.errors import RecordError

_MOST_COLUMNS = 6
"""Most policies that have a column each."""


@dataclass(frozen=True)
class Arguments:
    """Print how often each policy of a finished comparison solves each kind of task."""

    results: Annotated[Path, tyro.conf.Positional]
    """The comparison's results.json."""
    measurement: str = "test T=1"
    """Which tasks, and how the policies sample."""


def kind_of(task_id: str) -> str:
    """Return what a task's id begins with, up to its instance."""
    return re.split("[#/]", task_id, maxsplit=1)[0]


def by_kind(
    scores: Mapping[str, Sequence[Measurements]], measurement: str
) -> tuple[KindOfTask, ...]:
    """Return the kinds of the tasks of a measurement, by name.

    Args:
        scores: Measurements of each policy, one for each seed it was run with.
        measurement: Its name, such as ``test T=1``; policies without it are left out.
    """
    rates: dict[str, dict[str, list[float]]] = {}
    for policy, seeds in scores.items():
        if measurement not in seeds[0]:
            continue
        whole = pooled([each[measurement] for each in seeds])
        for task_id, tries in zip(whole.task_ids, whole.successes, strict=True):
            if tries:
                found = rates.setdefault(kind_of(task_id), {}).setdefault(policy, [])
                found.append(float(np.mean(tries)))
    return tuple(
        KindOfTask(
            name,
            max(len(each) for each in policies.values()),
            {policy: float(np.mean(each)) for policy, each in policies.items()},
        )
        for name, policies in sorted(rates.items())
    )


def kinds_table(kinds: Sequence[KindOfTask]) -> tuple[list[str], list[list[str]]]:
    """Return the titles and lines of the table, rates in percent.

    There is a line for each kind, or, with many policies, for each of these.
    """
    policies = list(dict.fromkeys(policy for kind in kinds for policy in kind.rates))
    if len(policies) > _MOST_COLUMNS:
        titles = ["", *(f"{kind.name} ({kind.tasks})" for kind in kinds)]
        return titles, [[one, *(_percent(kind, one) for kind in kinds)] for one in policies]
    lines = [
        [kind.name, str(kind.tasks), *(_percent(kind, one) for one in policies)] for kind in kinds
    ]
    return ["", "tasks", *policies], lines


def _percent(kind: KindOfTask, policy: str) -> str:
    return f"{100 * kind.rates[policy]:.0f}" if policy in kind.rates else "-"


def read_scores(path: Path) -> dict[str, list[Measurements]]:
    """Return the measurements of the base and of each arm of a comparison, by seed.

    Raises:
        RecordError: The file holds no results of a comparison.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            row["name"]: [
                {name: result_from(one) for name, one in seed.items()}
                for seed in content["evaluations"][row["name"]]
            ]
            for row in content["rows"]
            if row["kind"] != "baseline"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"expected the results.json of a comparison, got {path} ({error!r:.200})"
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given, console = tyro.cli(Arguments, args=arguments), Console()
    try:
        scores = read_scores(given.results)
        kinds = by_kind(scores, given.measurement)
        if not kinds:
            known = {name for seeds in scores.values() for name in seeds[0]}
            raise ValueError(
                f"expected a measurement of {', '.join(sorted(known))}; got {given.measurement!r}"
            )
    except (RecordError, ValueError) as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    print_lines(console, f"{given.measurement}, percent solved", *kinds_table(kinds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
