"""Check the sites: experts and idlers on every task, and random walks saved and resumed.

``python -m benchmarks.sites`` prints, for each template, the rewards of the expert and of doing
nothing; then how many of the walks came back exactly, and how long the restores took.
"""

import json
import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

import pivot_envs  # noqa: F401  registers the environments
from benchmarks.walks import next_call
from pivot_agents.policy import Context, Policy
from pivot_agents.sites_expert import SitesExpert
from pivot_envs import ToolCall
from pivot_envs.errors import PivotError, SnapshotError
from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.suite import TEMPLATES

MAX_TURNS = 40
RESTORE_TARGET_MS = 50.0

Env = gym.Env[str, str]


@dataclass(frozen=True)
class Arguments:
    """Check the sites."""

    seeds: int = 20
    """Seeds of each template that the expert and the idler are tried on."""
    walks: int = 200
    """Random walks that are saved, resumed in a second environment, and continued in both."""
    out: Path | None = None
    """JSON file to write."""


@dataclass(frozen=True, slots=True)
class TemplateResult:
    """What became of one template's tasks."""

    template: str
    expert_solved: int
    idle_solved: int
    tasks: int
    longest: int
    """Turns of the expert's longest episode."""


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk: was it the same after a restore, and how long did that take."""

    task_id: str
    is_exact: bool
    difference: str
    """What differed first; empty if nothing did."""
    restore_ms: float


def make_env() -> Env:
    """Return an environment on all sites."""
    return gym.make("pivot/Web-v0", suite="sites", max_turns=MAX_TURNS)


def play(env: Env, task_id: str, policy: Policy) -> tuple[float, int]:
    """Run a policy on a task; return the reward and the number of turns."""
    core: Any = env.unwrapped
    env.reset(options={"task_id": task_id})
    reward, is_over = 0.0, False
    while not is_over:
        context = Context(core.messages, core.tools, core.task_id)
        action = policy.act([context])[0].text
        _, earned, terminated, truncated, info = env.step(action)
        reward = float(earned)
        if info["infra_error"] is not None:
            raise RuntimeError(f"{task_id}: {info['infra_error']}")
        is_over = terminated or truncated
    return reward, len(core.messages) // 2


def play_idly(env: Env, task_id: str) -> float:
    """Submit at once; return the reward."""
    env.reset(options={"task_id": task_id})
    return float(env.step(ToolCall("submit", {}).as_text())[1])


def try_template(env: Env, template: str, seeds: int) -> TemplateResult:
    """Let the expert and the idler try a template's tasks, the expert with another way each."""
    played = [play(env, f"{template}#{seed}", SitesExpert(seed=seed)) for seed in range(seeds)]
    idle = [play_idly(env, f"{template}#{seed}") for seed in range(seeds)]
    return TemplateResult(
        template,
        sum(reward == 1.0 for reward, _ in played),
        sum(reward != 0.0 for reward in idle),
        seeds,
        max(turns for _, turns in played),
    )


def try_walk(first: Env, second: Env, number: int, length: int = 4) -> Walk:
    """Walk at random in one environment, resume in another, and go on in both.

    The walks are compared by observation, page and database, at the restore and after each of
    ``length`` further actions.
    """
    draw = Draw(f"walk {number}")
    task_id = f"{draw.choice(TEMPLATES)}#{number}"
    observation, _ = first.reset(options={"task_id": task_id})
    for _ in range(draw.integer(2, 7)):
        observation = first.step(next_call(draw, observation).as_text())[0]
    core: Any = first.unwrapped
    snapshot, expected = core.snapshot(), _state(first, observation)
    began = time.perf_counter()
    try:
        observation, _ = second.reset(options={"snapshot": snapshot})
    except SnapshotError as error:
        return Walk(task_id, False, str(error), 0.0)
    restore_ms = 1e3 * (time.perf_counter() - began)
    found = _state(second, observation)
    for turn in range(length + 1):
        for name in expected:
            if found[name] != expected[name]:
                return Walk(task_id, False, f"{name} after {turn} actions", restore_ms)
        if turn < length:
            action = next_call(draw, observation).as_text()
            expected = _state(first, first.step(action)[0])
            observation = second.step(action)[0]
            found = _state(second, observation)
    return Walk(task_id, True, "", restore_ms)


def _state(env: Env, observation: str) -> dict[str, Any]:
    core: Any = env.unwrapped
    return {
        "observation": observation,
        "database": _rows(core.suite.process.save()),
        "page and database": core.effect().state_digest,
    }


def _rows(database: bytes) -> list[str]:
    """Return what a database holds; where in its file SQLite puts it is no part of that."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(database)
        return list(connection.iterdump())


def report(console: Console, results: Sequence[TemplateResult], walks: Sequence[Walk]) -> None:
    """Print the tables."""
    table = Table(title=f"tasks solved, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name in ("template", "expert", "doing nothing", "longest (turns)"):
        table.add_column(name, justify="left" if name == "template" else "right")
    for each in results:
        solved, idle = f"{each.expert_solved}/{each.tasks}", f"{each.idle_solved}/{each.tasks}"
        table.add_row(each.template, solved, idle, str(each.longest))
    if results:
        console.print(table)
    for walk in walks:
        if not walk.is_exact:
            console.print(f"{walk.task_id}: {walk.difference}")
    times = [walk.restore_ms for walk in walks if walk.restore_ms]
    if times:
        exact = sum(walk.is_exact for walk in walks)
        console.print(f"walks exact at the restore and 4 actions on: {exact} of {len(walks)}")
        console.print(
            f"restore: median {statistics.median(times):.1f} ms, minimum {min(times):.1f} ms, "
            f"maximum {max(times):.1f} ms (target {RESTORE_TARGET_MS:.0f} ms)"
        )


def main(arguments: Arguments) -> int:
    """Run both checks; return 1 if a task or a walk is not as it should be."""
    console = Console()
    first, second = make_env(), make_env()
    try:
        results = [
            try_template(first, template, arguments.seeds)
            for template in track(TEMPLATES if arguments.seeds else (), "tasks")
        ]
        walks = [
            try_walk(first, second, number) for number in track(range(arguments.walks), "walks")
        ]
    finally:
        first.close()
        second.close()
    report(console, results, walks)
    if arguments.out is not None:
        found = {"tasks": [asdict(each) for each in results], "walks": [asdict(w) for w in walks]}
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    solved = all(each.expert_solved == each.tasks and not each.idle_solved for each in results)
    return 0 if solved and all(walk.is_exact for walk in walks) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Arguments)))
    except PivotError as error:
        sys.exit(f"error: {error}")
