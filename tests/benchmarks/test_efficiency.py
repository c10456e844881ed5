import numpy as np
import pytest

from benchmarks.efficiency import (
    Course,
    course_of,
    final_reach,
    final_reaches,
    mean_course,
    reach,
    reaches,
)
from benchmarks.results import ArmRecord, CurvePoint


def record(arm, points, *, seed=0, profile_turns=0, profile_wall_s=0.0):
    curve = tuple(CurvePoint(turns, wall_s, success) for turns, wall_s, success in points)
    return ArmRecord(
        arm,
        seed,
        profile={"turns": profile_turns},
        profile_wall_s=profile_wall_s,
        curve=curve,
    )


E2E = record("E2E", [(0, 0, 0.2), (400, 100, 0.3), (800, 200, 0.5)])
PIVOT = record(
    "pivot",
    [(0, 0, 0.2), (200, 10, 0.2), (300, 20, 0.4), (400, 30, 0.35)],
    profile_turns=200,
    profile_wall_s=10,
)


def course(turns, wall_s, success):
    return Course(*(np.array(each, dtype=np.float64) for each in (turns, wall_s, success)))


def test_the_cost_is_read_off_between_two_points():
    one = course([0, 100, 200], [5, 10, 50], [0.2, 0.2, 0.6])
    assert one.cost_to_reach(0.3, "turns") == pytest.approx(125.0)
    assert one.cost_to_reach(0.3, "wall_s") == pytest.approx(20.0)
    assert one.cost_to_reach(0.6, "turns") == pytest.approx(200.0)


def test_a_level_that_is_never_reached_has_no_cost():
    assert course([0, 9], [0, 9], [0.1, 0.2]).cost_to_reach(0.3, "turns") is None


def test_seconds_that_were_spent_before_the_first_turn_are_on_the_bill():
    slow = record("lazy-progress", [(0, 0, 0.2), (0, 40, 0.2), (100, 60, 0.6)])
    found = course_of(slow)
    assert found.turns.tolist() == [0, 100]
    assert found.wall_s.tolist() == [40, 60]
    assert found.cost_to_reach(0.4, "wall_s") == pytest.approx(50)


def test_arms_are_compared_at_the_best_success_that_both_reach():
    found = reach([E2E, PIVOT], "turns", counts_profiling=True)
    assert found.level == pytest.approx(0.4)
    assert found.e2e == pytest.approx(600)
    assert found.pivot == pytest.approx(300)
    assert found.ratio == pytest.approx(2.0)


def test_wall_clock_is_compared_in_the_same_way():
    found = reach([E2E, PIVOT], "wall_s", counts_profiling=True)
    assert (found.e2e, found.pivot) == (pytest.approx(150), pytest.approx(20))


def test_leaving_profiling_out_moves_the_pivot_curve_to_zero():
    found = reach([E2E, PIVOT], "turns", counts_profiling=False)
    assert found.pivot == pytest.approx(100)
    assert found.ratio == pytest.approx(6.0)
    left = course_of(PIVOT, counts_profiling=False)
    assert left.turns.tolist() == [0, 100, 200]
    assert left.wall_s.tolist() == [0, 10, 20]
    assert left.success.tolist() == [0.2, 0.4, 0.35]


def test_an_arm_that_never_rises_above_its_start_is_not_compared():
    flat = record("pivot", [(0, 0, 0.2), (300, 9, 0.2)], profile_turns=300, profile_wall_s=9)
    for found in reaches([E2E, flat]):
        assert (found.level, found.e2e, found.pivot, found.ratio) == (None, None, None, None)


def test_a_mean_goes_on_to_where_the_longest_ends():
    mean = mean_course([course([0, 10], [0, 5], [0, 1]), course([0, 20], [0, 30], [0, 1])])
    assert mean.turns.tolist() == [0, 10, 20]
    assert mean.wall_s.tolist() == [0, 10, 17.5]
    assert mean.success.tolist() == [0, 0.75, 1]


def test_what_e2e_took_is_the_mean_of_its_seeds_and_not_the_slowest():
    walls = enumerate((100, 300))
    seeds = [record("E2E", [(0, 0, 0.2), (800, each, 0.5)], seed=seed) for seed, each in walls]
    lazy = [record("lazy-effect", [(0, 0, 0.2), (200, 10, 0.5)], seed=seed) for seed in (0, 1)]
    found = final_reach([*seeds, *lazy], "lazy-effect", "wall_s", counts_profiling=True)
    assert (found.e2e, found.spent) == pytest.approx((200, 10))


def test_a_seed_that_stayed_at_the_base_does_not_end_the_others():
    short = record("pivot", [(0, 0, 0.2), (100, 5, 0.2)], seed=1, profile_turns=100)
    found = reach([E2E, PIVOT, short], "turns", counts_profiling=True)
    assert found.level == pytest.approx(0.3)
    assert found.pivot == pytest.approx(300)


LAZY = record("lazy-effect", [(0, 0, 0.2), (200, 10, 0.5), (400, 30, 0.6)])


def test_an_arm_is_compared_at_the_final_success_of_e2e():
    found = final_reach([E2E, LAZY], "lazy-effect", "turns", counts_profiling=True)
    assert (found.level, found.e2e, found.spent) == pytest.approx((0.5, 800, 200))
    assert found.ratio == pytest.approx(4.0)
    assert found.best == pytest.approx(0.6)
    assert (found.low, found.high) == (None, None)
    found = final_reach([E2E, LAZY], "lazy-effect", "wall_s", counts_profiling=True)
    assert found.ratio == pytest.approx(20.0)


def test_an_arm_that_stays_below_the_final_success_has_not_reached_it():
    found = final_reach([E2E, PIVOT], "pivot", "turns", counts_profiling=True)
    assert found.level == pytest.approx(0.5)
    assert (found.spent, found.ratio) == (None, None)
    assert found.best == pytest.approx(0.4)


def test_an_e2e_that_ends_where_it_began_has_no_success_to_reach():
    fallen = record("E2E", [(0, 0, 0.2), (400, 100, 0.5), (800, 200, 0.2)])
    found = final_reach([fallen, LAZY], "lazy-effect", "turns", counts_profiling=True)
    assert (found.level, found.e2e, found.spent, found.ratio) == (None, None, None, None)


def test_e2e_reaches_the_mean_of_its_seeds_last_points_whatever_their_lengths():
    other = record("E2E", [(0, 0, 0.2), (400, 100, 0.25), (900, 250, 0.3)], seed=1)
    again = record("lazy-effect", [(0, 0, 0.2), (400, 30, 0.4)], seed=1)
    found = final_reach([E2E, other, LAZY, again], "lazy-effect", "turns", counts_profiling=True)
    assert found.level == pytest.approx(0.4)
    assert found.e2e == pytest.approx(900)
    assert found.spent == pytest.approx(200)
    assert found.low <= found.ratio <= found.high


def test_a_seed_that_never_arrives_pulls_the_interval_to_zero():
    arms = [record("E2E", [(0, 0, 0.2), (800, 200, 0.5)], seed=seed) for seed in range(2)]
    arms += [record("pivot", [(0, 0, 0.2), (100, 9, 1.0)], seed=0)]
    arms += [record("pivot", [(0, 0, 0.2), (100, 9, 0.2)], seed=1)]
    found = final_reach(arms, "pivot", "turns", counts_profiling=True)
    assert found.ratio > 1
    assert found.low == 0
    assert found.high > found.ratio


def test_every_rl_arm_but_e2e_is_compared_in_four_ways():
    sft = record("SFT", [(0, 0, 0.2), (0, 9, 0.9)])
    found = final_reaches([sft, E2E, PIVOT, LAZY])
    assert [one.arm for one in found] == ["pivot"] * 4 + ["lazy-effect"] * 4
    assert len({(one.axis, one.counts_profiling) for one in found}) == 4
    assert final_reaches([sft, PIVOT]) == ()
