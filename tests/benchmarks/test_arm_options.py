from dataclasses import asdict

import pytest

from benchmarks.arm_options import ARMS, MAIN_ARMS, Plan, check_arms


def test_every_pivot_arm_with_an_eager_profile_changes_one_thing_of_pivot():
    pivot = asdict(ARMS["pivot"])
    for name, options in ARMS.items():
        if options.learning == "pivots" and options.profiler == "eager" and name != "pivot":
            changed = {key for key, value in asdict(options).items() if value != pivot[key]}
            assert len(changed) == 1, name


def test_the_main_arms_are_run_in_the_order_of_the_table():
    assert check_arms(MAIN_ARMS) == ("SFT", "E2E", "pivot")
    assert check_arms(["pivot", "SFT", "pivot"]) == ("SFT", "pivot")


@pytest.mark.parametrize("names", [[], ["magic"]])
def test_arms_that_there_are_not_are_refused(names):
    with pytest.raises(ValueError, match="expected some of the arms SFT, E2E"):
        check_arms(names)


def test_a_plan_puts_its_arms_in_the_order_of_the_table():
    assert Plan(["pivot", "SFT"]).arms == ("SFT", "pivot")
    with pytest.raises(ValueError, match="got magic"):
        Plan(["magic"])


@pytest.mark.parametrize("headline", ["SFT", "E2E", "magic"])
def test_the_claim_is_about_an_arm_that_learns_from_pivots(headline):
    with pytest.raises(ValueError, match=f"expected the headline .* got {headline}"):
        Plan(headline=headline)


def test_settings_are_those_of_the_arm():
    plan = Plan(tuned={"pivot": {"kl_coef": 0.1}})
    assert plan.settings("pivot") == {"kl_coef": 0.1}
    assert plan.settings("E2E") == {}


def test_a_job_is_an_arm_and_a_seed():
    assert Plan(only=["pivot:0", "lazy-effect:4"]).jobs(5) == (("pivot", 0), ("lazy-effect", 4))


@pytest.mark.parametrize("text", ["pivot", "pivot:", "pivot:5", "pivot:-1", "magic:0", "pivot:x"])
def test_a_job_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="a seed from 0 to 4"):
        Plan(only=[text]).jobs(5)
