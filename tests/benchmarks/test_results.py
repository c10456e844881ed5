import json
from dataclasses import asdict

import pytest
from rich.console import Console

from benchmarks.findings import findings
from benchmarks.plots import draw_bars, draw_curves
from benchmarks.report import print_table, render_html
from benchmarks.results import (
    ArmRecord,
    CurvePoint,
    difference,
    estimate,
    mean_costs,
    mean_difference,
    pooled,
)
from benchmarks.summary import summarise
from pivot_agents.evaluation import EvaluationResult

MEASUREMENTS = (
    "test T=1", "test greedy", "unseen T=1", "unseen greedy", "lookup T=1", "reverse T=1"
)  # fmt: skip
FACTS = {
    "config": {
        "protocol": {
            "turn_budget": 1000,
            "seeds": 2,
            "test_samples": 2,
            "unseen_samples": 2,
            "validation_samples": 2,
        },
        "model": {"name": "a <model>"},
    },
    "made_with": {"python": "3"},
    "model_parameters": 2_200_000,
    "tasks": {"train": 4, "validation": 2, "test": 8, "unseen": 8},
    "sets": {"test": "unseen mutations", "unseen": "unseen functions"},
    "drills": {"lookup": 8, "reverse": 8},
    "demonstrations": {"successful": 4, "turns": 17, "wall_s": 3.0},
}


def result(solved: int, tasks: int = 8) -> EvaluationResult:
    """The first tasks are solved in both of their episodes."""
    successes = tuple((number < solved,) * 2 for number in range(tasks))
    return EvaluationResult(tuple(f"task-{n}" for n in range(tasks)), successes, 0, tasks * 6)


def measured(solved: int):
    return dict.fromkeys(MEASUREMENTS, result(solved))


def record(arm: str, seed: int, curve: list[tuple[int, float, float]], **fields) -> ArmRecord:
    return ArmRecord(arm, seed, curve=tuple(CurvePoint(*point) for point in curve), **fields)


@pytest.fixture
def scores():
    baseline = {name: result(1) for name in ("test T=1", "unseen T=1")}
    return {
        "nothing": [{name: result(0) for name in baseline}],
        "random edit": [baseline],
        "base, listing withheld": [baseline],
        "base": [measured(2)],
        "SFT": [measured(8), measured(7)],
        "E2E": [measured(2), measured(3)],
        "pivot": [measured(8), measured(8)],
    }


@pytest.fixture
def records():
    spent = {"turns": 1000, "generated_tokens": 9000, "prompt_tokens": 90_000}
    return [
        *(record("SFT", seed, [(0, 0, 0.2), (0, 9, 0.9)], note="spends none") for seed in (0, 1)),
        *(record("E2E", s, [(0, 0, 0.2), (900, 99, 0.5 - s / 10)], train=spent) for s in (0, 1)),
        *(
            record(
                "pivot",
                seed,
                [(0, 0, 0.2), (400, 20, 0.2), (700, 50, 0.6)],
                profile={"turns": 400},
                profile_wall_s=20.0,
                train={"turns": 300},
                train_wall_s=30.0,
            )
            for seed in (0, 1)
        ),
    ]


def test_an_estimate_pools_seeds_and_keeps_each():
    one = estimate([result(2), result(4)])
    assert one.mean == pytest.approx(0.375)
    assert one.per_seed == (0.25, 0.5)
    assert one.low <= one.mean <= one.high


def test_one_seed_has_no_values_by_seed():
    assert estimate([result(2)]).per_seed == ()


def test_pooling_keeps_tasks_apart():
    assert pooled([result(1, 2), result(2, 2)]).successes == (
        (True,) * 4,
        (False, False, True, True),
    )


def test_a_difference_is_paired_by_task():
    gap = difference([result(6)], [result(2)])
    assert gap.mean == pytest.approx(0.5)
    assert 0 < gap.low < gap.high < 1
    assert difference([result(3)], [result(3)]).low == 0.0


def test_a_task_without_an_outcome_is_left_out_of_a_difference():
    lost = EvaluationResult(("a", "b"), ((), (True,)), 1, 2)
    other = EvaluationResult(("a", "b"), ((True,), (False,)), 0, 2)
    assert difference([lost], [other]).mean == 1.0


def test_it_is_said_where_a_curve_began_was_best_and_ended(scores, records):
    falls = record("pivot", 0, [(0, 0, 0.2), (400, 20, 0.7), (700, 50, 0.5)])
    said = " ".join(summarise(scores, [*records[:4], falls], FACTS).findings)
    assert "pivot began at 20.0 %, was best at 70.0 % after 400 turns, and ended at 50.0 %" in said
    assert "tasks SFT began" not in said


def test_a_tie_is_a_tie_whatever_the_rounding_of_its_parts():
    def tries(*counts):
        ten = tuple(tuple(n < count for n in range(10)) for count in counts)
        return [EvaluationResult(("a", "b"), ten, 0, 20)]

    assert difference(tries(8, 4), tries(6, 6)).mean == 0.0
    assert difference(tries(6, 6), tries(8, 4)).mean == 0.0


def test_a_task_that_could_not_begin_has_the_name_that_another_seed_knows():
    lost = EvaluationResult(("", "b"), ((), (True,)), 1, 2)
    whole = EvaluationResult(("a", "b"), ((False,), (True,)), 0, 2)
    assert pooled([lost, whole]).task_ids == ("a", "b")


def test_a_mean_difference_counts_families_alike():
    small, large = ([result(2, 2)], [result(0, 2)]), ([result(0, 8)], [result(0, 8)])
    one = mean_difference([small, large])
    assert one.mean == pytest.approx(0.5)
    assert (one.low, one.high) == (0.5, 0.5)
    assert mean_difference([small]).mean == difference(*small).mean


def test_costs_are_counted_with_profiling_and_the_gpu_is_held_for_all_of_it():
    one = record(
        "pivot",
        0,
        [],
        profile={"turns": 40, "generated_tokens": 5, "prompt_tokens": 50, "env_s": 1.0},
        train={"turns": 60, "generated_tokens": 7, "prompt_tokens": 70, "env_s": 2.0},
        profile_wall_s=3.0,
        train_wall_s=4.0,
        profile_cpu_s=5.0,
        train_cpu_s=6.0,
    )
    expected = {
        "profile_turns": 40,
        "train_turns": 60,
        "generated_tokens": 12,
        "prompt_tokens": 120,
        "env_s": 3.0,
        "cpu_s": 11.0,
        "wall_s": 7.0,
    }
    assert mean_costs([one]) == expected
    assert mean_costs([one], device="cuda") == {**expected, "gpu_s": 7.0}


def test_findings_say_who_has_not_beaten_the_baselines(scores, records):
    results = summarise(scores, records, FACTS)
    text = " ".join(results.findings)
    assert "base does not clearly beat 'random edit' nor 'base, listing withheld'" in text
    assert "pivot beats the baselines that read nothing" in text
    assert "pivot is better than the base" in text
    assert "E2E cannot be told from the base" in text
    assert "SFT, seed 1: spends none." in text


def test_findings_say_what_was_spent_or_that_nothing_was_reached(scores, records):
    results = summarise(scores, records, FACTS)
    first = next(each for each in results.reaches if each.counts_profiling)
    assert first.level == pytest.approx(0.45)
    assert "E2E took 900 turns and pivot 588 turns: 1.53 times" in " ".join(results.findings)
    flat = [each for each in records if each.arm != "pivot"]
    flat += [record("pivot", seed, [(0, 0, 0.2), (400, 20, 0.2)]) for seed in (0, 1)]
    rows, reaches = results.rows, summarise(scores, flat, FACTS).reaches
    assert "not reached" in " ".join(findings(scores, rows, flat, reaches))


def test_results_are_json(scores, records):
    text = json.dumps(asdict(summarise(scores, records, FACTS)), allow_nan=False)
    written = json.loads(text)
    assert written["rows"][0]["name"] == "nothing"
    assert written["targets"][0]["arm"] == "pivot"
    assert next(iter(written)) == "verdict"


def test_the_table_names_every_policy(scores, records):
    console = Console(width=220, record=True, quiet=False, file=open_nothing())
    print_table(summarise(scores, records, FACTS), console)
    text = console.export_text()
    assert all(name in text for name in scores)
    assert "E2E / pivot" in text
    assert "E2E / the arm" in text
    assert "prompt tokens" in text
    assert text.lstrip().startswith("Of the 5 targets")


def test_the_page_is_self_contained_and_escaped(scores, records):
    results = summarise(scores, records, FACTS)
    curves, bars = draw_curves(results), draw_bars(results)
    assert curves.startswith(b"\x89PNG")
    page = render_html(results, curves=curves, bars=bars)
    assert "a &lt;model&gt;" in page
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page
    first = page[page.index("<p") : page.index("</p>")]
    assert "Of the 5 targets, profiling counted" in first
    assert "seed 1" in page


def open_nothing():
    import io

    return io.StringIO()
