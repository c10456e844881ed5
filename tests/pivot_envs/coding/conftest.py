import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.gold import Bug, Mutation
from pivot_envs.coding.source import PackageSource, fetch_source
from pivot_envs.coding.task import CodingTask, Release
from pivot_envs.coding.task_file import write_tasks
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.errors import SandboxUnavailableError, SourceError

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
        _write_release(path, files)
        return path

    return make


def _write_release(path: Path, files: Mapping[str, str]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for file, text in files.items():
            content = text.encode()
            member = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{file}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def tiny_source(make_release: MakeRelease, tmp_path: Path) -> PackageSource:
    """A release with two functions and a class, fetched from a folder."""
    make_release("tiny", "1.0", {"tiny.py": MODULE, "tests/test_tiny.py": TESTS})
    return fetch_source("tiny", "1.0", cache_dir=tmp_path / "cache")


def _tiny_task(name: str, source: PackageSource, mutation: Mutation, failing: str) -> CodingTask:
    tests = ("test_clamp_keeps_values_inside", "test_clamp_limits_both_sides")
    passing = [test for test in (*tests, "CounterTests::test_add") if test != failing]
    return CodingTask(
        task_id=f"tiny-1.0/{name}",
        origin=Release("tiny", "1.0", source.sha256),
        gold=Bug((mutation,), (f"tiny.py::{name}",), 5),
        issue=f"tiny 1.0: 1 test fails.\ntests/test_tiny.py::{failing}\nE AssertionError",
        fail_to_pass=(f"tests/test_tiny.py::{failing}",),
        pass_to_pass=tuple(f"tests/test_tiny.py::{test}" for test in passing),
        suspects=("tiny.py::clamp", "tiny.py::Counter.add"),
        split="train" if name == "clamp" else "test",
    )


@pytest.fixture(scope="session")
def tiny_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task file with two bugs in a tiny release, which this process has in its memory."""
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        _write_release(folder / "tiny-1.0.tar.gz", {"tiny.py": MODULE, "tests/test_tiny.py": TESTS})
        source = fetch_source("tiny", "1.0")
        high = Mutation("tiny.py", 9, "high", "low", 15, "name")
        total = Mutation("tiny.py", 20, "+=", "-=", 19, "operator")
        write_tasks(
            path := folder / "tasks.jsonl",
            [
                _tiny_task("clamp", source, high, "test_clamp_limits_both_sides"),
                _tiny_task("Counter.add", source, total, "CounterTests::test_add"),
            ],
        )
        tasks = TaskSet(str(path))
        tasks.workspace(tasks["tiny-1.0/clamp"])
    return path


@pytest.fixture(scope="module")
def shared_tiny_env(tiny_tasks: Path) -> Iterator[CodingEnv]:
    """An environment of the tiny release; reset it before use."""
    env = CodingEnv(tasks=str(tiny_tasks), command_timeout_s=20.0)
    try:
        env.reset(seed=0)
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    yield env
    env.close()


@pytest.fixture
def tiny_env(shared_tiny_env: CodingEnv) -> CodingEnv:
    """A running episode of the bug in ``clamp``."""
    shared_tiny_env.reset(seed=0, options={"task_id": "tiny-1.0/clamp"})
    return shared_tiny_env


@pytest.fixture
def env_of_kind(tiny_tasks: Path, kind: str, request: pytest.FixtureRequest) -> Iterator[CodingEnv]:
    """A started environment of the tiny release in a box of the test's ``kind``."""
    options: dict[str, Any] = {}
    if kind == "docker":
        options = {"sandbox": "docker", "image": request.getfixturevalue("docker_image")}
    env = CodingEnv(tasks=str(tiny_tasks), max_turns=10**6, command_timeout_s=20.0, **options)
    try:
        env.reset(seed=0)
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    yield env
    env.close()


@pytest.fixture(scope="session")
def real_tasks() -> tuple[CodingTask, ...]:
    """The tasks that ship with the project."""
    tasks = TaskSet()
    try:
        for task in [tasks[task_id] for task_id in tasks.ids]:
            tasks.workspace(task)
    except SourceError as error:
        pytest.skip(f"a source release cannot be fetched here: {error}")
    return tuple(tasks[task_id] for task_id in tasks.ids)


Git = Callable[..., str]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a base commit tagged ``base`` and all that may come after it."""
    folder = tmp_path / "repositories" / "owner__tiny"
    folder.mkdir(parents=True)
    run = git_in(folder)
    run("init", "-q", "-b", "trunk")
    write(folder, {"tiny.py": "def one():\n    return 2\n", "run.sh": "echo\n", "a b/ü.txt": "1"})
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("tiny.py")
    run("add", "-A")
    run("commit", "-q", "-m", "first")
    write(folder, {"tests/test_tiny.py": "from tiny import one\n\n\ndef test_it():\n    one()\n"})
    run("add", "-A")
    run("commit", "-q", "-m", "second")
    run("tag", "base")
    write(folder, {"tiny.py": "def one():\n    return 1  # the telling fix\n"})
    run("commit", "-q", "-a", "-m", "fix it")
    run("tag", "-a", "v1", "-m", "the-annotated-release")
    run("branch", "other")
    write(folder, {"tiny.py": "stashed-away-work\n"})
    run("stash")
    run("remote", "add", "origin", "https://invalid/tiny")
    run("notes", "add", "-m", "the-telling-note")
    run("commit", "-q", "--allow-empty", "-m", "lost")
    run("reset", "-q", "--hard", "HEAD~1")
    return folder


@pytest.fixture
def git_at() -> Callable[[Path], Git]:
    return git_in


def git_in(folder: Path) -> Git:
    def run(*arguments: str, stdin: str = "") -> str:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_AUTHOR_NAME": "a",
                "GIT_AUTHOR_EMAIL": "a@invalid",
                "GIT_COMMITTER_NAME": "a",
                "GIT_COMMITTER_EMAIL": "a@invalid",
            },
        ).stdout.strip()

    return run


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
