"""UnicodeText: any text up to a length."""

import pickle

import pytest

from pivot_envs.spaces import UnicodeText


def test_any_text_of_fitting_length_belongs() -> None:
    space = UnicodeText(10)
    for text in ("", "a b\n", "é☃", "\ud800", "x" * 10):
        assert text in space
    assert "x" * 11 not in space
    assert b"x" not in space


def test_samples_belong_are_short_and_follow_the_seed() -> None:
    space = UnicodeText()
    space.seed(7)
    first = [space.sample() for _ in range(20)]
    space.seed(7)
    assert [space.sample() for _ in range(20)] == first
    assert all(text in space and len(text) <= 32 for text in first)
    assert len(set(first)) > 10


def test_a_sample_never_exceeds_the_space() -> None:
    space = UnicodeText(2, seed=0)
    assert all(space.sample() in space for _ in range(20))


def test_a_mask_sets_the_length() -> None:
    assert len(UnicodeText(seed=0).sample(mask=(5, None))) == 5


def test_the_space_is_small_and_comparable() -> None:
    space = UnicodeText(5)
    assert repr(space) == "UnicodeText(5)"
    assert len(pickle.dumps(space)) < 10_000
    assert pickle.loads(pickle.dumps(space)) == space
    assert space != UnicodeText(6)
    assert len({space, UnicodeText(5)}) == 1


@pytest.mark.parametrize("other", [5, "UnicodeText(5)"])
def test_other_things_are_not_equal(other: object) -> None:
    assert UnicodeText(5) != other
