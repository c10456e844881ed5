import pytest

from benchmarks.deadline import Deadline, TimeIsUp


def test_without_minutes_there_is_no_end():
    Deadline().check()


def test_a_deadline_ends_when_its_minutes_are_over():
    Deadline(10).check()
    with pytest.raises(TimeIsUp):
        Deadline(0).check()


def test_negative_minutes_are_refused():
    with pytest.raises(ValueError, match="from 0 on, got -1"):
        Deadline(-1)
