"""Similarity: the published comparison of arguments, case by case."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot_envs.core import Effect
from pivot_envs.tools import ToolCall
from wrappers import Attempt, Pivot
from wrappers.similarity import SWE_THRESHOLD, Similarity, is_similar, word_similarity

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # A text of two or more words without words in common with itself there is none.
    | st.text(alphabet="ab c", max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(VALUES)
def test_everything_is_similar_to_itself_at_every_threshold(value) -> None:
    assert is_similar(value, value, 0.5)


@settings(deadline=None)
@given(st.text(alphabet="ab ", max_size=20), st.text(alphabet="ab ", max_size=20))
def test_word_similarity_is_symmetric_and_at_most_one_half(one, other) -> None:
    assert word_similarity(one, other) == word_similarity(other, one)
    assert 0.0 <= word_similarity(one, other) <= 0.5


@pytest.mark.parametrize(
    ("expected", "actual", "is_same"),
    [
        (1, True, True),
        (1.0, 1, False),
        (1, 1.0, False),
        (1.0, 1.0000005, True),
        (1.0, 1.00001, False),
        ("one", "One", False),
        ("one", "one ", False),
        ("one two", "one", False),
        ("one two", "TWO three", True),
        ("one two", "three four", False),
        ([1, 2], [2, 1], False),
        ([1, 2], [1, 2, 3], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": [1, "x y"]}, {"a": [1, "y z"]}, True),
        (None, None, True),
        (None, 0, False),
    ],
)
def test_values_are_compared_by_the_published_rules(expected, actual, is_same) -> None:
    assert is_similar(expected, actual, 0.1) is is_same


def test_a_hand_computed_word_similarity() -> None:
    # "fix", "the" and one of two "a" are shared: 3 of 4 + 5 words.
    assert word_similarity("Fix the a bug", "fix a a the thing") == pytest.approx(3 / 9)


def judged(verifier: Similarity, snapshot, expected: ToolCall, actual: ToolCall | None) -> float:
    effect = Effect("after", frozenset(), terminated=False)
    pivot = Pivot("p", "t", 0, snapshot, expected.as_text(), effect, expected.name)
    return verifier(pivot, Attempt("", actual, None, effect, "before"))


def test_the_tool_must_be_the_same(drill_snapshot) -> None:
    arguments = {"text": "one two"}
    expected = ToolCall("answer", arguments)
    assert judged(Similarity(), drill_snapshot, expected, ToolCall("answer", arguments)) == 1.0
    assert judged(Similarity(), drill_snapshot, expected, ToolCall("look", arguments)) == 0.0
    assert judged(Similarity(), drill_snapshot, expected, None) == 0.0


def test_thresholds_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="any two texts of two words match"):
        Similarity(SWE_THRESHOLD)
    with pytest.raises(ValueError, match=r"at most 0\.5"):
        Similarity(0.8)


def test_the_published_threshold_of_0_pays_nonsense(drill_snapshot) -> None:
    expected = ToolCall("answer", {"text": "one two"})
    nonsense = ToolCall("answer", {"text": "x y"})
    published = Similarity(SWE_THRESHOLD, as_published=True)
    assert judged(published, drill_snapshot, expected, nonsense) == 1.0
    assert judged(Similarity(), drill_snapshot, expected, nonsense) == 0.0
