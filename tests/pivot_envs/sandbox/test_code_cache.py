import subprocess
import sys
from pathlib import Path

from pivot_envs.sandbox import agent

PROGRAM = """
import ast, contextlib, io, os, sys
sys.path.insert(0, sys.argv[1])
from code_cache import CodeCache
import pytest

parsed = []
parse = ast.parse

def count(source, filename="<unknown>", mode="exec", *args, **kwargs):
    # Assert statements are rewritten from bytes, statements are looked up in text.
    if isinstance(source, str) and ("def test_one" in source or "def fail" in source):
        parsed.append(filename)
    return parse(source, filename, mode, *args, **kwargs)

ast.parse = count
cache = CodeCache()

def run():
    parsed.clear()
    cache.missed.clear()
    for name in ("test_deep", "deep"):
        sys.modules.pop(name, None)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        pytest.main(["-q", "--tb=short", "-p", "no:cacheprovider", "test_deep.py"])
    return output.getvalue().partition("short test summary")[0]

first = run()
print("first:", len(parsed))
for kind, path in list(cache.missed):
    cache.fill(kind, path)
second = run()
print("second:", len(parsed))
print("same:", first == second)
print("shown:", second.count("raise ValueError("), second.count("7, 8, 9,"))
"""

DEEP = """
def decorate(function):
    return function


@decorate
def fail(value):
    try:
        raise ValueError(
            7, 8, 9,
            value,
        )
    finally:
        value += 1
"""

TESTS = """
from deep import fail


def test_one():
    fail(1)


def test_two():
    fail(2)


def test_three():
    fail(3)
"""


def test_failing_tests_parse_each_file_once_and_later_runs_parse_none(tmp_path: Path) -> None:
    (tmp_path / "deep.py").write_text(DEEP)
    (tmp_path / "test_deep.py").write_text(TESTS)
    folder = str(Path(agent.__file__).parent)
    finished = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, folder],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.splitlines() == ["first: 2", "second: 0", "same: True", "shown: 3 3"]
