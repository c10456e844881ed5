"""The report of a comparison: a table for the terminal and one self-contained HTML page."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from rich.console import Console
from rich.table import Table

from benchmarks.results import Estimate, Reach, Results, Row

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
    """Return the table's column titles."""
    families = [f"{family}, points" for family in results.facts["drills"]]
    return [
        "",
        "test T=1",
        "test greedy",
        "unseen T=1",
        "unseen greedy",
        *families,
        "profile turns",
        "train turns",
        "tokens",
        "wall-clock",
    ]


def cells(row: Row, families: Sequence[str]) -> list[str]:
    """Return one policy's line of the table, in the order of ``header``."""
    measured = ("test T=1", "test greedy", "unseen T=1", "unseen greedy")
    costs = row.costs
    return [
        row.name,
        *(rate(row.scores.get(name)) for name in measured),
        *(change(row.changes.get(f"{family} T=1")) for family in families),
        number(costs.get("profile_turns")),
        number(costs.get("train_turns")),
        number(costs.get("generated_tokens")),
        number(costs.get("wall_s"), " s"),
    ]


def reach_cells(reach: Reach) -> list[str]:
    """Return one line of the efficiency table."""
    unit = "" if reach.axis == "turns" else " s"
    axis = "turns" if reach.axis == "turns" else "wall-clock"
    return [
        f"{axis}, profiling {'included' if reach.counts_profiling else 'left out'}",
        "not reached" if reach.level is None else f"{100 * reach.level:.1f} %",
        number(reach.e2e, unit),
        number(reach.pivot, unit),
        "-" if reach.ratio is None else f"{reach.ratio:.2f}",
    ]


REACH_HEADER = ("cost", "common success", "E2E", "pivot", "E2E / pivot")


def print_table(results: Results, console: Console) -> None:
    """Print the tables and the findings."""
    families = list(results.facts["drills"])
    table = Table(title="Success in percent [95 % interval]; out of domain: change from the base")
    for column in header(results):
        table.add_column(column, justify="right" if column else "left")
    last = [row.name for row in results.rows if row.kind == "baseline"][-1]
    for row in results.rows:
        table.add_row(*cells(row, families), end_section=row.name == last)
    console.print(table)
    efficiency = Table(title="What it took to reach the best validation success that both reach")
    for column in REACH_HEADER:
        efficiency.add_column(column)
    for reach in results.reaches:
        efficiency.add_row(*reach_cells(reach))
    console.print(efficiency)
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
        header=header(results),
        rows=[(row.kind, cells(row, families)) for row in results.rows],
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
