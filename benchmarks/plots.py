"""The two plots of a comparison, as PNG bytes."""

import io
from collections.abc import Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.arm_options import ARMS
from benchmarks.efficiency import Axis, course_of, mean_course
from benchmarks.results import ArmRecord, Estimate, Results, Row

COLOURS = {"SFT": "#e0a030", "E2E": "#d1495b", "pivot": "#1f6f8b", "base": "#56606b"}
_MORE_COLOURS = [
    *("#4c956c", "#8e6c8a", "#2f4858", "#b56576", "#a7c957", "#7f5539", "#3a86ff", "#bc6c25"),
    *("#5e548e", "#9a031e", "#00b4d8", "#e07a9a", "#7b2cbf", "#111111", "#ff8500", "#9aa5b1"),
]
"""Of the other arms, in the order of ``ARMS``."""
_MOST_WITH_SEEDS = 4
"""Most arms of which each seed is drawn."""
_BASELINES = ("-.", "--", ":")
"""Line styles, in the order of the table."""


def draw_curves(results: Results) -> bytes:
    """Draw validation success against learning turns and against wall-clock.

    Thin lines are seeds, left out where there are many arms; thick lines are their mean, dotted
    while an arm profiles. SFT, which spends no turns, is a level, and so is E2E's end.
    """
    learners = _learners(results)
    is_crowded = len(learners) > _MOST_WITH_SEEDS
    figure = Figure(figsize=(10, 5.5 if is_crowded else 4.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    labels = {"turns": "learning turns", "wall_s": "seconds of learning"}
    for place, (axis, label) in zip(axes, labels.items(), strict=True):
        for arm in learners:
            records = [each for each in results.arms if each.arm == arm]
            _draw_arm(place, arm, records, "turns" if axis == "turns" else "wall_s", not is_crowded)
        for arm in ("SFT", "E2E"):
            _draw_end(place, arm, [each for each in results.arms if each.arm == arm])
        place.set_xlabel(f"{label}, profiling included (dotted)")
        place.set_xlim(left=0)
        _tidy(place)
    successes = [point.success for record in results.arms for point in record.curve]
    if is_crowded:
        # So many lines lie on each other where the axis begins at zero.
        axes[0].set_ylim(max(0, min(successes) - 0.02), min(1.02, max(successes) + 0.02))
    else:
        _share_limit(axes, successes)
    axes[0].set_ylabel("success on validation tasks, T=1")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, frameon=False)
    return _png(figure)


def _learners(results: Results) -> list[str]:
    """Return the arms that spend turns, each once."""
    return [arm for arm in dict.fromkeys(each.arm for each in results.arms) if arm != "SFT"]


def _colour(name: str) -> str:
    others = [arm for arm in ARMS if arm not in COLOURS]
    if name in others:
        return _MORE_COLOURS[others.index(name) % len(_MORE_COLOURS)]
    return COLOURS.get(name, "#4c956c")


def _draw_arm(
    place: Axes, arm: str, records: Sequence[ArmRecord], axis: Axis, shows_seeds: bool
) -> None:
    courses = [course_of(record) for record in records]
    if not courses:
        return
    if shows_seeds and len(courses) > 1:
        for one in courses:
            place.plot(one.spent(axis), one.success, color=_colour(arm), alpha=0.35, linewidth=1)
    mean = mean_course(courses)
    costs, successes = mean.spent(axis), mean.success
    end = max(record.profile_wall_s for record in records)
    if axis == "turns":
        end = max(record.profile.get("turns", 0) for record in records)
    style: dict[str, Any] = {"color": _colour(arm), "linewidth": 2.2}
    end = max(end, costs[0])
    place.plot(costs[costs <= end], successes[costs <= end], linestyle=":", **style)
    trained = costs >= max(costs[costs <= end])
    place.plot(costs[trained], successes[trained], marker="o", ms=4, label=arm, **style)


def _draw_end(place: Axes, arm: str, records: Sequence[ArmRecord]) -> None:
    """Draw the level at which an arm ended."""
    if not records:
        return
    level = sum(record.curve[-1].success for record in records) / len(records)
    style = "--" if arm == "SFT" else "-."
    place.axhline(
        level, color=_colour(arm), linestyle=style, linewidth=1, label=f"{arm}, at its end"
    )


def draw_bars(results: Results) -> bytes:
    """Draw success by policy with intervals, on both held-out sets; baselines are lines."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    titles = results.facts["sets"]
    models = [row for row in results.rows if row.kind != "baseline"]
    for place, (tasks, title) in zip(axes, titles.items(), strict=True):
        for index, row in enumerate(models):
            _draw_row(place, index, row, tasks)
        baselines = [row for row in results.rows if row.kind == "baseline"]
        for row, style in zip(baselines, cycle(_BASELINES), strict=False):
            mean = row.scores[f"{tasks} T=1"].mean
            place.axhline(mean, color="#555555", linestyle=style, linewidth=1, label=row.name)
        crowded = len(models) > 5
        place.set_xticks(
            range(len(models)),
            [row.name for row in models],
            rotation=40 if crowded else 0,
            ha="right" if crowded else "center",
        )
        place.set_title(title, fontsize=11)
        _tidy(place)
    scores = [item for row in results.rows for item in row.scores.items()]
    _share_limit(axes, [one.high for name, one in scores if name.startswith(tuple(titles))])
    axes[0].set_ylabel("success (full: T=1, pale: greedy)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return _png(figure)


def _draw_row(place: Axes, index: int, row: Row, tasks: str) -> None:
    colour = _colour(row.name)
    shown = ((f"{tasks} T=1", -0.2, 1.0), (f"{tasks} greedy", 0.2, 0.45))
    for measurement, offset, alpha in shown:
        one = row.scores[measurement]
        place.bar(index + offset, one.mean, width=0.36, color=colour, alpha=alpha)
        place.errorbar(
            index + offset, one.mean, yerr=_whiskers(one), color="black", capsize=3, linewidth=1
        )
        for value in one.per_seed:
            place.plot(index + offset, value, marker=".", color="black", ms=5)


def _whiskers(one: Estimate) -> tuple[tuple[float], tuple[float]]:
    return (max(0.0, one.mean - one.low),), (max(0.0, one.high - one.mean),)


def _share_limit(axes: Sequence[Axes], values: Sequence[float]) -> None:
    """Let both plots end somewhat above the highest value, and below 100 % where they can."""
    for place in axes:
        place.set_ylim(0, min(1.02, max(0.1, 1.2 * max(values, default=1.0))))


def _tidy(place: Axes) -> None:
    place.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    place.spines[["top", "right"]].set_visible(False)
    place.grid(axis="y", alpha=0.25)


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()
