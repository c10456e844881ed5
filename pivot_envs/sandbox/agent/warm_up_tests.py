"""The tests that the warm interpreter runs once, so that what a run imports late is there.

Some of them fail, because reporting a failure needs the most.
"""

import getpass  # noqa: F401  tmp_path imports it, and would leave a folder behind here
import unittest
from typing import Any

import pytest


@pytest.mark.parametrize("value", [1, 2])
def test_compare(value: int, capsys: Any, monkeypatch: Any) -> None:
    """Use the usual fixtures."""
    with pytest.raises(AssertionError):
        assert [value] == [3, 4], "text"


def test_fails() -> None:
    """Have a difference explained."""
    assert {"a": 1} == {"a": 2}


class TestCase(unittest.TestCase):
    """Have subtests, some of which fail."""

    def test_subtests(self) -> None:
        """Fail once."""
        for i in range(2):
            with self.subTest(i=i):
                self.assertEqual(i, 0)  # noqa: PT009, it is how test cases do it
