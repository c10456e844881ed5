"""Similarity, the comparison of arguments by which public code rewards tool calls.

The rules are those of ``single_step_tool_use_with_argument_comparison`` in NVIDIA's NeMo-Gym, read
in August 2026; this is an independent implementation.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wrappers.attempt import Attempt
from wrappers.pivot import Pivot

CONVERSATIONAL_THRESHOLD = 0.1
SEARCH_THRESHOLD = 0.3
SWE_THRESHOLD = 0.0
"""Thresholds of the published configurations."""
HIGHEST_SIMILARITY = 0.5
"""Similarity of a text with itself."""
_FLOAT_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Similarity:
    """A verifier that pays a call of the demonstrated tool with similar arguments.

    Objects need the same keys and lists the same length; numbers must be equal; a text of two or
    more words needs only a ``word_similarity`` of at least the threshold.
    """

    threshold: float = CONVERSATIONAL_THRESHOLD
    """Smallest similarity of two texts, above 0 and at most 0.5."""
    as_published: bool = False
    """Allow the published threshold of 0, at which any two texts of two words match."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= HIGHEST_SIMILARITY:
            raise ValueError(
                f"threshold must be above 0 and at most {HIGHEST_SIMILARITY}, the similarity of a "
                f"text with itself, got {self.threshold}"
            )
        if self.threshold == 0.0 and not self.as_published:
            raise ValueError(
                "at a threshold of 0 any two texts of two words match, so that nonsense is paid; "
                "pass as_published=True to study that, or a threshold above 0"
            )

    def __call__(self, pivot: Pivot, attempt: Attempt) -> float:
        """Judge an attempt: 1.0 or 0.0."""
        if attempt.call is None:
            return 0.0
        name, arguments = demonstrated_call(pivot)
        similar = attempt.call.name == name and is_similar(
            arguments, dict(attempt.call.arguments), self.threshold
        )
        return float(similar)


def is_similar(expected: Any, actual: Any, threshold: float) -> bool:
    """Compare two JSON values by the published rules.

    A value must be of the expected one's type, so that an expected integer accepts a boolean and an
    expected fraction no integer. Texts with fewer than two words on either side must be equal.
    """
    if not isinstance(actual, type(expected)):
        return False
    if isinstance(expected, dict):
        return expected.keys() == actual.keys() and all(
            is_similar(value, actual[key], threshold) for key, value in expected.items()
        )
    if isinstance(expected, list):
        pairs = zip(expected, actual, strict=False)
        return len(expected) == len(actual) and all(is_similar(*pair, threshold) for pair in pairs)
    if isinstance(expected, float):
        return bool(abs(expected - actual) < _FLOAT_TOLERANCE)
    if isinstance(expected, str) and min(len(expected.split()), len(actual.split())) >= 2:
        return word_similarity(expected, actual) >= threshold
    return bool(expected == actual)


def word_similarity(one: str, other: str) -> float:
    """Return the words that two texts share, divided by the words of both, in [0, 0.5].

    Words are split at white space and compared in lower case; repeated ones count as often as they
    occur. Texts without words have similarity 0.
    """
    words, other_words = Counter(one.lower().split()), Counter(other.lower().split())
    total = words.total() + other_words.total()
    return (words & other_words).total() / total if total else 0.0


def demonstrated_call(pivot: Pivot) -> tuple[str, Mapping[str, Any]]:
    """Return the tool and the arguments of a pivot's demonstrated action."""
    call = json.loads(pivot.demonstration)
    return str(call["name"]), call.get("arguments", {})
