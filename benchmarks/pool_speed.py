"""Measure coding episodes in threads of this process beside worker processes.

``python -m benchmarks.pool_speed`` lets both take turns in one run: each makes a pool, runs the
demonstrator in every slot, and once more with the environments that are there then.
"""

import functools
import os
import statistics
from dataclasses import dataclass

import gymnasium as gym
import tyro
from rich.console import Console
from rich.table import Table

import pivot_envs  # noqa: F401  registers the environments
from benchmarks.side_by_side import Times
from pivot_agents.expert import CodingExpert
from pivot_agents.pool import Backend, EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.errors import PivotError


@dataclass(frozen=True)
class Arguments:
    """Measure pools of coding environments."""

    size: int = 16
    """Slots, and episodes of each rollout."""
    repetitions: int = 3
    backends: tuple[Backend, ...] = ("threads", "processes")


def main(arguments: Arguments) -> None:
    """Measure and print.

    Raises:
        SystemExit: No box can be started here.
    """
    first = {name: Times(f"{name}: new pool") for name in arguments.backends}
    later = {name: Times(f"{name}: again") for name in arguments.backends}
    turns = 0
    try:
        for _ in range(arguments.repetitions):
            for name in arguments.backends:
                turns = _measure(name, arguments.size, first[name], later[name])
    except PivotError as error:
        raise SystemExit(f"error: {error}") from error
    table = Table("", "median s", "min s", "median CPU s of this process")
    for one in (*first.values(), *later.values()):
        cpu = f"{statistics.median(one.cpu_s):.2f}"
        table.add_row(
            one.name, f"{statistics.median(one.wall_s):.2f}", f"{min(one.wall_s):.2f}", cpu
        )
    console = Console()
    console.print(table)
    console.print(f"{turns} turns each; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _measure(backend: Backend, size: int, first: Times, later: Times) -> int:
    make_env = functools.partial(
        gym.make, "pivot/Coding-v0", split="train", max_turns=8, disable_env_checker=True
    )
    expert = CodingExpert(TaskSet(split="train").__getitem__)
    starts = [Start(seed) for seed in range(size)]
    with EnvPool(make_env, size, backend=backend) as pool:
        for times in (first, later):
            with times.measured():
                episodes = rollout(pool, expert, starts)
    if failure := next((one.infra_error for one in episodes if one.infra_error), None):
        raise SystemExit(f"error: an episode failed: {failure}")
    return sum(len(one.transitions) for one in episodes)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
