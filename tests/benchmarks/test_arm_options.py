from dataclasses import asdict

import pytest

from benchmarks.arm_options import ARMS, MAIN_ARMS, check_arms


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
