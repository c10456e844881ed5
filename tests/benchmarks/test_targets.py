import pytest

from benchmarks.results import ArmRecord, CurvePoint
from benchmarks.summary import summarise
from benchmarks.targets import verdict
from pivot_agents.evaluation import EvaluationResult

FACTS = {"config": {}}


def result(solved, tasks=8):
    successes = tuple((number < solved,) for number in range(tasks))
    return EvaluationResult(tuple(f"task-{n}" for n in range(tasks)), successes, 0, tasks)


def measured(test, *, lookup=6, reverse=6):
    names = ("test T=1", "test greedy", "unseen T=1", "unseen greedy")
    return {
        **dict.fromkeys(names, result(test)),
        "lookup T=1": result(lookup),
        "reverse T=1": result(reverse),
    }


def record(arm, points, *, seed=0, profile_turns=0, profile_wall_s=0.0, **fields):
    turns, wall_s, _ = points[-1]
    return ArmRecord(
        arm,
        seed,
        profile={"turns": profile_turns},
        profile_wall_s=profile_wall_s,
        train={"turns": turns - profile_turns},
        train_wall_s=wall_s - profile_wall_s,
        curve=tuple(CurvePoint(*point) for point in points),
        **fields,
    )


SFT = record("SFT", [(0, 0, 0.2), (0, 9, 0.9)])
E2E = record("E2E", [(0, 0, 0.2), (1000, 600, 0.5)])
PIVOT = record("pivot", [(0, 0, 0.2), (100, 50, 0.2), (200, 100, 0.5)], profile_turns=100)
LAZY = record("lazy-effect", [(0, 0, 0.2), (100, 60, 0.5)])


def report(records, headline="pivot", **measurements):
    """The results of a run with one seed of each arm; the base solves 2 of 8 test tasks."""
    baselines = {"nothing": [{name: result(0) for name in ("test T=1", "unseen T=1")}]}
    arms = {one.arm: [measurements.get(one.arm.replace("-", "_"), measured(4))] for one in records}
    scores = {**baselines, "base": [measured(2)], **arms}
    return summarise(scores, records, FACTS, headline=headline)


def verdicts(results):
    return [target.verdict for target in results.targets[0].targets]


def test_targets_that_are_met_are_said_to_be_met_with_their_figures():
    results = report([SFT, E2E, PIVOT], pivot=measured(6), SFT=measured(3), E2E=measured(5))
    assert verdicts(results) == ["met"] * 5
    assert results.verdict.startswith(
        "Of the 5 targets, profiling counted and what the demonstrator and tuning took not, pivot "
        "meets 5 and misses 0."
    )
    assert "E2E took 1,000 turns and pivot 200 turns, profiling counted: 5.00" in results.verdict
    assert "600 s and pivot 100 s, profiling counted: 6.00 times as much" in results.verdict
    assert "one seed, so no interval" in results.verdict
    assert "the difference is +37.5 points (95 % interval" in results.verdict
    assert "Missed" not in results.verdict


def test_families_of_which_the_base_can_lose_little_are_named_and_do_not_count():
    results = report([SFT, E2E, PIVOT])
    assert "too little" not in results.verdict
    scores = {"base": [measured(2, lookup=1)], "pivot": [measured(4, lookup=0, reverse=7)]}
    results = summarise(scores, [PIVOT], FACTS, headline="pivot")
    assert results.rows[1].out_of_domain.mean == 0.125
    assert "too little to forget it, 12.5 % of lookup)" in results.verdict


def test_where_the_base_can_forget_nothing_nothing_is_said_of_forgetting():
    scores = {
        "base": [measured(2, lookup=1, reverse=0)],
        "pivot": [measured(4, lookup=1, reverse=0)],
    }
    results = summarise(scores, [PIVOT], FACTS, headline="pivot")
    assert results.rows[1].out_of_domain is None
    assert results.targets[0].targets[3].verdict == "not measured"
    assert "of which the base solves enough to forget some" in results.verdict


def test_missed_targets_come_first_and_say_what_profiling_has_to_do_with_it():
    slow = record(
        "pivot",
        [(0, 0, 0.2), (300, 150, 0.2), (400, 200, 0.5)],
        profile_turns=300,
        profile_wall_s=150.0,
        states_profiled=40,
        states_mixed=20,
        pivots=10,
        silent_share=0.75,
    )
    results = report([SFT, E2E, slow], pivot=measured(2, lookup=4), SFT=measured(6))
    assert verdicts(results) == ["missed"] * 5
    assert "profiling is 75 % of all that it spent, and the ratio without it 10.00" in (
        results.verdict
    )
    assert "pivot changed by -12.5 points" in results.verdict
    assert "How it learned: 75 % of pivot's groups had equal rewards and taught nothing; of 40" in (
        results.verdict
    )


def test_a_success_that_was_never_reached_is_missed_and_told_with_the_best():
    flat = record("pivot", [(0, 0, 0.2), (100, 50, 0.3)])
    results = report([SFT, E2E, flat])
    assert verdicts(results)[:2] == ["missed", "missed"]
    assert "pivot never reached E2E's final validation success of 50.0 %" in results.verdict
    assert "(it began at 20.0 %): the best of its mean curve is 30.0 %" in results.verdict


def test_what_was_never_reached_on_average_may_be_in_some_draws_of_seeds():
    flat = record("pivot", [(0, 0, 0.2), (100, 50, 0.3)])
    fast = record("pivot", [(0, 0, 0.2), (100, 50, 0.6)], seed=1)
    late = record("E2E", [(0, 0, 0.2), (1000, 600, 0.5)], seed=1)
    results = report([E2E, late, flat, fast])
    assert "the best of its mean curve is 45.0 % (95 % interval over seeds 0.00 to" in (
        results.verdict
    )
    assert "0 standing for not reached), an interval that also holds the target" in results.verdict
    assert results.targets[0].targets[0].figure.startswith("not reached [0.00, 1")


def test_the_demonstrators_turns_are_on_no_bill_and_said_to_be():
    demonstrations = {"turns": 50, "wall_s": 20.0}
    numbers = {name: [measured(4)] for name in ("base", "E2E", "pivot")}
    facts = {**FACTS, "demonstrations": demonstrations}
    turns, wall_s, *_ = summarise(numbers, [E2E, PIVOT], facts).targets[0].targets
    assert turns.value == pytest.approx(5.0)
    assert turns.sentence.endswith("with the demonstrator's 50 turns on pivot's bill it is 4.00")
    assert wall_s.sentence.endswith("with the demonstrator's 20 s on pivot's bill it is 5.00")


def test_draws_in_which_e2e_gained_nothing_are_told():
    worse = record("E2E", [(0, 0, 0.2), (1000, 600, 0.1)], seed=1)
    also = record("pivot", [(0, 0, 0.2), (100, 50, 0.5)], seed=1)
    text = report([E2E, worse, PIVOT, also]).targets[0].targets[0].sentence
    assert "% of draws in which E2E gained nothing)" in text


def test_an_estimate_whose_interval_holds_the_opposite_is_told_so():
    results = report([SFT, E2E, PIVOT], pivot=measured(4), SFT=measured(3))
    gain = results.targets[0].targets[2]
    assert gain.verdict == "met"
    assert gain.sentence.endswith("an interval that also holds the opposite")


def test_arms_that_were_not_run_are_named():
    results = report([PIVOT])
    assert verdicts(results) == ["not measured"] * 3 + ["met", "not measured"]
    assert "4 could not be measured" in results.verdict
    assert "E2E was not run" in results.verdict
    assert "SFT was not run" in results.verdict
    assert verdicts(report([SFT, E2E])) == ["not measured"] * 5
    assert "pivot was not run" in report([SFT, E2E]).verdict


def test_an_e2e_that_gained_nothing_leaves_nothing_to_reach():
    flat = record("E2E", [(0, 0, 0.2), (1000, 600, 0.2)])
    results = report([SFT, flat, PIVOT])
    assert verdicts(results)[:2] == ["not measured", "not measured"]
    assert "E2E ended no higher on the validation tasks than it began" in results.verdict


def test_other_arms_are_named_where_a_target_is_missed_the_most_promising_first():
    slow = record("pivot", [(0, 0, 0.2), (900, 500, 0.5)], profile_turns=400)
    random = record("random-pivots", [(0, 0, 0.2), (800, 400, 0.4)])
    results = report([SFT, E2E, slow, random, LAZY], lazy_effect=measured(7))
    tried = results.verdict.partition("Tried beside pivot, the most promising first: ")[2]
    assert tried.startswith("lazy-effect meets 5 (turns 10.00, wall-clock 10.00, gain less SFT's")
    assert "random-pivots meets 2 (turns not reached" in tried
    assert [one.arm for one in results.targets] == ["pivot", "random-pivots", "lazy-effect"]


def test_a_ratio_that_is_met_by_some_seeds_alone_is_told_so():
    slow = record("pivot", [(0, 0, 0.2), (900, 500, 0.5)], seed=1)
    late = record("E2E", [(0, 0, 0.2), (1000, 600, 0.5)], seed=1)
    text = report([E2E, late, PIVOT, slow]).targets[0].targets[0].sentence
    assert text.startswith("to reach E2E's final validation success of 50.0 % (it began at 20.0 %)")
    assert "an interval that also holds" in text


def test_what_tuning_tried_is_told_where_a_target_is_missed_the_best_first():
    tried = {"SFT": 0.25, "lazy-effect": 0.45, "E2E": 0.4}
    missed = report([SFT, E2E, PIVOT], pivot=measured(3), SFT=measured(4)).targets
    text = verdict(missed, tried)
    assert text.endswith("success: lazy-effect 45.0 %, E2E 40.0 %, SFT 25.0 %.")
    assert "In tuning" not in verdict(missed)
    met = report([SFT, E2E, PIVOT], pivot=measured(6), SFT=measured(3)).targets
    assert "In tuning" not in verdict(met, tried)


def test_the_claim_can_be_about_another_arm():
    results = report([SFT, E2E, PIVOT, LAZY], headline="lazy-effect")
    assert results.targets[0].arm == "lazy-effect"
    assert "lazy-effect meets" in results.verdict


@pytest.mark.parametrize(("lookup", "expected"), [(6, "met"), (7, "missed"), (5, "missed")])
def test_out_of_domain_a_change_in_either_direction_is_a_miss(lookup, expected):
    results = report([SFT, E2E, PIVOT], pivot=measured(4, lookup=lookup))
    assert verdicts(results)[3] == expected
