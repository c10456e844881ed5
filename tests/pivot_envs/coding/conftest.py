import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pivot_envs.coding.source import PackageSource, fetch_source

MODULE = '''\
"""A tiny package."""


def clamp(value, low=0, high=10):
    """Return value, but at least low and at most high: low <= value."""
    if value < low:
        return low
    if value > high:
        return high
    return value


class Counter:
    def __init__(self):
        self.total = 0
        self.calls = 0

    def add(self, amount):
        self.calls += 1
        self.total += amount
        return self.total


def never_tested(value):
    return value + 1
'''
TESTS = """\
import time
import unittest

from tiny import Counter, clamp


def test_clamp_keeps_values_inside():
    assert clamp(3) == 3


def test_clamp_limits_both_sides():
    assert clamp(-5) == 0
    assert clamp(15, high=12) == 12


class CounterTests(unittest.TestCase):
    def test_add(self):
        counter = Counter()
        counter.add(2)
        self.assertEqual(counter.add(3), 5)
        for calls in (2,):
            with self.subTest(calls=calls):
                self.assertEqual(counter.calls, calls)


def test_slow_clamp():
    time.sleep(1.2)
    assert clamp(1) == 1


def test_that_always_fails():
    assert clamp(1) == 2
"""

MakeRelease = Callable[..., Path]


@pytest.fixture
def make_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRelease:
    """Make source releases in a folder that pip is set up to search, and nothing else."""
    folder = tmp_path / "releases"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def make(name: str, version: str, files: Mapping[str, str]) -> Path:
        path = folder / f"{name}-{version}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for file, text in files.items():
                content = text.encode()
                member = tarfile.TarInfo(f"{name}-{version}/{file}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path

    return make


@pytest.fixture
def tiny_source(make_release: MakeRelease, tmp_path: Path) -> PackageSource:
    """A release with two functions and a class, fetched from a folder."""
    make_release("tiny", "1.0", {"tiny.py": MODULE, "tests/test_tiny.py": TESTS})
    return fetch_source("tiny", "1.0", cache_dir=tmp_path / "cache")
