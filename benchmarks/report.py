"""The report of a comparison: a table for the terminal and one self-contained HTML page."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from rich.console import Console

from benchmarks.kinds import kinds_table
from benchmarks.results import Estimate, FinalReach, Reach, Results, Row
from benchmarks.tables import print_lines

_TEMPLATE = Path(__file__).with_name("report.html.jinja")


def rate(one: Estimate | None) -> str:
    """Write a success rate in percent with its interval."""
    if one is None:
        return "-"
    return f"{100 * one.mean:.1f} [{100 * one.low:.0f}, {100 * one.high:.0f}]"


def change(one: Estimate | None) -> str:
    """Write a change in percentage points with its interval."""
    if one is None:
        return "-"
    return f"{100 * one.mean:+.1f} [{100 * one.low:+.0f}, {100 * one.high:+.0f}]"


def number(value: float | None, unit: str = "") -> str:
    """Write a count or a number of seconds; nothing measured is a dash."""
    return "-" if value is None else f"{value:,.0f}{unit}"


def header(results: Results) -> list[str]:
    """Return the titles of the table of success."""
    families = [f"{family}, points" for family in results.facts["drills"]]
    return ["", *_SETS, *families, "out of domain, mean"]


def cells(row: Row, families: Sequence[str]) -> list[str]:
    """Return one policy's line of the table, in the order of ``header``."""
    return [
        row.name,
        *(rate(row.scores.get(name)) for name in _SETS),
        *(change(row.changes.get(f"{family} T=1")) for family in families),
        change(row.out_of_domain),
    ]


_SETS = ("test T=1", "test greedy", "unseen T=1", "unseen greedy")
_COSTS = {
    "profile_turns": ("profile turns", ""),
    "train_turns": ("train turns", ""),
    "prompt_tokens": ("prompt tokens", ""),
    "generated_tokens": ("sampled tokens", ""),
    "env_s": ("environments", " s"),
    "cpu_s": ("processor", " s"),
    "gpu_s": ("GPU", " s"),
    "wall_s": ("wall-clock", " s"),
}
"""Title and unit of each cost."""


def costs_table(results: Results) -> tuple[list[str], list[list[str]]]:
    """Return the titles and lines of the table of what learning cost, one line for each arm."""
    arms = [row for row in results.rows if row.kind == "arm"]
    shown = {
        name: title for name, title in _COSTS.items() if any(name in row.costs for row in arms)
    }
    lines = [
        [row.name, *(number(row.costs.get(name), unit) for name, (_, unit) in shown.items())]
        for row in arms
    ]
    return ["", *(title for title, _ in shown.values())], lines


def targets_table(results: Results) -> tuple[list[str], list[list[str]]]:
    """Return the titles and lines of the table of targets, one line for each pivot arm."""
    titles = [target.name for target in results.targets[0].targets]
    lines = [
        [
            each.arm,
            *(
                f"{one.figure} {one.verdict}" if one.value is not None else one.figure
                for one in each.targets
            ),
            str(each.met),
        ]
        for each in results.targets
    ]
    return ["", *titles, "met"], lines


FINAL_HEADER = ("arm", "cost", "E2E's final success", "E2E", "the arm", "E2E / the arm")


def final_cells(reach: FinalReach) -> list[str]:
    """Return one line of the table of what it took to reach E2E's final success."""
    unit = "" if reach.axis == "turns" else " s"
    ratio = "-" if reach.ratio is None else f"{reach.ratio:.2f}"
    if reach.low is not None and reach.high is not None:
        ratio += f" [{reach.low:.2f}, {reach.high:.2f}]"
    is_unreached = reach.level is not None and reach.spent is None
    return [
        reach.arm,
        _bill(reach),
        "not above its start" if reach.level is None else f"{100 * reach.level:.1f} %",
        number(reach.e2e, unit),
        "not reached" if is_unreached else number(reach.spent, unit),
        ratio,
    ]


def _bill(reach: Reach | FinalReach) -> str:
    axis = "turns" if reach.axis == "turns" else "wall-clock"
    return f"{axis}, profiling {'included' if reach.counts_profiling else 'left out'}"


def reach_cells(reach: Reach) -> list[str]:
    """Return one line of the efficiency table."""
    unit = "" if reach.axis == "turns" else " s"
    return [
        _bill(reach),
        "not reached" if reach.level is None else f"{100 * reach.level:.1f} %",
        number(reach.e2e, unit),
        number(reach.pivot, unit),
        "-" if reach.ratio is None else f"{reach.ratio:.2f}",
    ]


REACH_HEADER = ("cost", "common success", "E2E", "pivot", "E2E / pivot")


def print_table(results: Results, console: Console) -> None:
    """Print which targets are met, the tables and the findings."""
    console.print(f"{results.verdict}\n", markup=False, highlight=False)
    families = list(results.facts["drills"])
    last = [row.name for row in results.rows if row.kind == "baseline"][-1]
    print_lines(
        console,
        "Success in percent [95 % interval]; out of domain: change from the base",
        header(results),
        [cells(row, families) for row in results.rows],
        section=[row.name for row in results.rows].index(last),
    )
    print_lines(console, "Test tasks by kind, T=1, percent solved", *kinds_table(results.kinds))
    print_lines(console, "What learning cost, mean over seeds", *costs_table(results))
    print_lines(
        console,
        "What it took to reach the best validation success that both reach",
        REACH_HEADER,
        [reach_cells(reach) for reach in results.reaches],
    )
    print_lines(
        console,
        "What it took to reach E2E's final validation success [95 % interval over seeds]",
        FINAL_HEADER,
        [final_cells(reach) for reach in results.final_reaches],
    )
    print_lines(console, "Targets [95 % interval]", *targets_table(results))
    for finding in results.findings:
        console.print(f"• {finding}", markup=False, highlight=False)


def render_html(results: Results, *, curves: bytes, bars: bytes) -> str:
    """Return the report as one page that needs nothing else.

    Args:
        results: What to show.
        curves: The plot of the learning curves, PNG.
        bars: The plot of the success rates, PNG.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    families = list(results.facts["drills"])
    return template.render(
        verdict=results.verdict,
        header=header(results),
        rows=[(row.kind, cells(row, families)) for row in results.rows],
        kinds=kinds_table(results.kinds),
        costs=costs_table(results),
        targets=targets_table(results),
        final_header=FINAL_HEADER,
        final_reaches=[final_cells(reach) for reach in results.final_reaches],
        reach_header=REACH_HEADER,
        reaches=[reach_cells(reach) for reach in results.reaches],
        reaches_by_seed={
            seed: [reach_cells(reach) for reach in reaches]
            for seed, reaches in results.reaches_by_seed.items()
        },
        seeds=_seed_table(results),
        arms=results.arms,
        findings=results.findings,
        facts=results.facts,
        protocol=results.facts["config"]["protocol"],
        made_with=json.dumps(results.facts["made_with"], indent=1),
        curves=base64.b64encode(curves).decode("ascii"),
        bars=base64.b64encode(bars).decode("ascii"),
    )


def _seed_table(results: Results) -> list[list[str]]:
    """Return the headline of each seed of each arm; empty where there is one seed."""
    return [
        [row.name, *(f"{100 * value:.1f}" for value in row.scores["test T=1"].per_seed)]
        for row in results.rows
        if row.scores["test T=1"].per_seed
    ]
