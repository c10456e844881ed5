"""Measure MiniWoB++'s demonstrator: how often it solves the instances of each template.

``python -m benchmarks.miniwob_expert`` prints, for each template, how many instances were solved
and how long the demonstrations are, and what keeps the other templates from having a script.
"""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

import pivot_envs  # noqa: F401  registers the environments
from pivot_agents.policy import Context
from pivot_agents.web_expert import MiniWobExpert
from pivot_envs.errors import InfraError, PivotError
from pivot_envs.web.miniwob.names import TASKS

TARGET_SHARE = 0.95
"""Share of instances from which on a template counts as demonstrated."""
TARGET_TEMPLATES = 60

_VISION = "the observation is text, and the page shows it as a picture only"
_DISTANCE = "scored by distance, and clicks on whole pixels rarely reach 1"
_MOVING = "things that move while the mouse follows; time stands still between actions"
NOT_DEMONSTRATED: Mapping[str, str] = {
    "bisect-angle": _DISTANCE,
    "chase-circle": _MOVING,
    "circle-center": "scored by distance, and half a pixel is always missing",
    "click-menu-2": "half of the goals name an item by its icon, which the goal's text leaves out",
    "count-sides": f"{_VISION}: a polygon on a canvas",
    "drag-cube": f"{_VISION}: which side of a cube in perspective faces the user",
    "draw-circle": "needs a round stroke; drag draws straight ones",
    "find-midpoint": _DISTANCE,
    "highlight-text": "paragraphs have no ref that a drag could start at",
    "highlight-text-2": "paragraphs have no ref that a drag could start at",
    "hot-cold": "feedback on hovering; there is no tool that only hovers",
    "hover-shape": "hovering for 10 s; there is no tool that only hovers",
    "moving-items": _MOVING,
    "number-checkboxes": f"{_VISION}: the shape of the digit to draw",
    "right-angle": _DISTANCE,
    "simon-says": f"{_VISION}: the buttons that blink, one after the other",
    "stock-market": "the price may fall below the limit after more turns than an episode has",
    "text-editor": "half of the goals need one word selected, which no tool does in an editor",
    "tic-tac-toe": "the opponent can hold a draw even against the best play",
    "use-colorwheel-2": "the goal shows its colour as a box, which its text leaves out",
    "visual-addition": f"{_VISION}: stacks of blocks",
}
"""Templates without a script, and why."""


@dataclass(frozen=True)
class Arguments:
    """Measure MiniWoB++'s demonstrator."""

    seeds: int = 20
    """Instances of each template; the expert takes another of its ways on each."""
    first_seed: int = 0
    templates: tuple[str, ...] = ()
    """By default all that the expert knows."""
    out: Path | None = None
    """JSON file to write."""


@dataclass(frozen=True, slots=True)
class TemplateResult:
    """What became of a template's instances."""

    template: str
    solved: int
    instances: int
    """Without those that the machinery failed."""
    mean_turns: float | None
    """Of the solved ones, if there are any."""
    failed: tuple[str, ...]
    """Task ids of instances that were not solved."""
    infra_errors: int

    @property
    def is_demonstrated(self) -> bool:
        """Whether enough of the instances were solved."""
        return self.instances > 0 and self.solved >= TARGET_SHARE * self.instances


def play(env: gym.Env[str, str], task_id: str, seed: int) -> tuple[float, int]:
    """Run the expert on a task; return the reward and the number of turns.

    Raises:
        InfraError: The machinery failed the episode.
    """
    core: Any = env.unwrapped
    expert = MiniWobExpert(seed=seed)
    env.reset(options={"task_id": task_id})
    is_over = False
    turns = 0
    while not is_over:
        (completion,) = expert.act([Context(core.messages, core.tools, task_id)])
        _, reward, terminated, truncated, info = env.step(completion.text)
        if info["infra_error"] is not None:
            raise InfraError(f"{task_id}: {info['infra_error']}")
        turns += 1
        is_over = terminated or truncated
    return float(reward), turns


def try_template(env: gym.Env[str, str], template: str, seeds: Sequence[int]) -> TemplateResult:
    """Let the expert try a template's instances."""
    lengths = []
    failed = []
    infra_errors = 0
    for seed in seeds:
        task_id = f"{template}#{seed}"
        try:
            reward, turns = play(env, task_id, seed)
        except InfraError:
            infra_errors += 1
            continue
        if reward >= 1:
            lengths.append(turns)
        else:
            failed.append(task_id)
    return TemplateResult(
        template,
        len(lengths),
        len(lengths) + len(failed),
        statistics.mean(lengths) if lengths else None,
        tuple(failed),
        infra_errors,
    )


def report(console: Console, results: Sequence[TemplateResult]) -> None:
    """Print the tables."""
    table = Table(title="MiniWoB++'s demonstrator")
    for name in ("template", "solved", "turns", "not solved"):
        table.add_column(name, justify="right" if name in ("solved", "turns") else "left")
    for each in results:
        failed = " ".join(each.failed[:3]) + (" ..." if len(each.failed) > 3 else "")
        solved = f"{each.solved}/{each.instances}"
        turns = "" if each.mean_turns is None else f"{each.mean_turns:.1f}"
        table.add_row(each.template, solved, turns, failed)
    console.print(table)
    reached = sum(each.is_demonstrated for each in results)
    console.print(
        f"{reached} templates solved in at least {TARGET_SHARE:.0%} of their instances "
        f"(target {TARGET_TEMPLATES}); machinery failures: "
        f"{sum(each.infra_errors for each in results)}"
    )
    others = Table(title="Templates without a script")
    others.add_column("template")
    others.add_column("why")
    for template, reason in NOT_DEMONSTRATED.items():
        others.add_row(template, reason)
    console.print(others)


def main(arguments: Arguments) -> int:
    """Measure; return 1 if fewer templates than the target are demonstrated."""
    unknown = sorted(set(arguments.templates) - set(MiniWobExpert.templates))
    if unknown:
        raise SystemExit(f"error: no script for {', '.join(unknown)}")
    templates = arguments.templates or MiniWobExpert.templates
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    env = gym.make("pivot/Web-v0", suite="miniwob", disable_env_checker=True)
    try:
        results = [try_template(env, each, seeds) for each in track(templates, "templates")]
    finally:
        env.close()
    report(Console(), results)
    if arguments.out is not None:
        found = {
            "seeds": [seeds.start, seeds.stop - 1],
            "templates": {each.template: asdict(each) for each in results},
            "demonstrated": sum(each.is_demonstrated for each in results),
            "not_demonstrated": dict(NOT_DEMONSTRATED),
            "all_templates": len(TASKS),
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    reached = sum(each.is_demonstrated for each in results)
    return 0 if reached >= min(TARGET_TEMPLATES, len(templates)) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Arguments)))
    except PivotError as error:
        sys.exit(f"error: {error}")
