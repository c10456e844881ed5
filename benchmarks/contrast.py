"""Contrast of some arms of a finished comparison with others.

``python -m benchmarks.contrast RESULTS --ours lazy-effect lazy-progress --less random-pivots
random-progress`` prints how much more often the first solve the tasks than the others, on average.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console

from benchmarks.evaluations import Measurements
from benchmarks.findings import points
from benchmarks.kinds import read_scores
from benchmarks.results import Estimate, mean_difference
from pivot_envs.errors import RecordError


@dataclass(frozen=True)
class Arguments:
    """Print the difference in success between some arms of a finished comparison and others."""

    results: Annotated[Path, tyro.conf.Positional]
    """The comparison's results.json."""
    ours: tuple[str, ...]
    """Arms; every episode of theirs counts alike."""
    less: tuple[str, ...]
    """What is subtracted: arms, or base."""
    measurement: str = "test T=1"
    """Which tasks, and how the policies sample."""


def contrast(
    scores: Mapping[str, Sequence[Measurements]],
    ours: Sequence[str],
    theirs: Sequence[str],
    measurement: str,
) -> Estimate:
    """Return the success of our arms less that of theirs: the mean, its interval, and each seed's.

    The interval is a paired bootstrap over tasks: it says how far the difference holds for other
    tasks with these seeds. How much it changes with the seed is in the differences by seed, which
    are there if all arms have the same number of seeds.

    Args:
        scores: Measurements of each arm by seed.
        ours: Names of arms.
        theirs: Names of arms.
        measurement: Name of the measurement, such as ``test T=1``.

    Raises:
        ValueError: An arm or a measurement of it is missing, or there are no arms.
    """
    for name in (*ours, *theirs):
        if name not in scores:
            raise ValueError(f"no arm {name!r} here; there are: {', '.join(scores)}")
        if missing := {measurement} - set(scores[name][0]):
            known = ", ".join(scores[name][0])
            raise ValueError(f"{name} has no measurement {missing.pop()!r}; it has: {known}")
    if not ours or not theirs:
        raise ValueError("expected at least one arm on each side")
    sides = [
        [[seed[measurement] for seed in scores[name]] for name in side] for side in (ours, theirs)
    ]
    mine, other = ([one for arm in side for one in arm] for side in sides)
    whole = mean_difference([(mine, other)])
    counts = {len(arm) for side in sides for arm in side}
    if len(counts) > 1 or counts == {1}:
        return whole
    rates = [np.mean([[one.success_rate for one in arm] for arm in side], axis=0) for side in sides]
    return replace(whole, per_seed=tuple(float(gap) for gap in rates[0] - rates[1]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given, console = tyro.cli(Arguments, args=arguments), Console()
    try:
        found = contrast(read_scores(given.results), given.ours, given.less, given.measurement)
    except (RecordError, ValueError) as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    sides = " less ".join(", ".join(side) for side in (given.ours, given.less))
    lines = [f"{given.measurement}: {sides}: {points(found)}"]
    if found.per_seed:
        lines.append("by seed: " + ", ".join(f"{100 * gap:+.1f}" for gap in found.per_seed))
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
