from collections.abc import Callable
from pathlib import Path

import pytest

from pivot_agents.expert import CodingExpert
from pivot_agents.policy import Context
from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.task_file import write_tasks
from pivot_envs.coding.task_source import open_source
from pivot_envs.coding.tasks.changelog import changelog_entry, without_code
from pivot_envs.coding.tasks.validation import validate_tasks
from pivot_envs.coding.taskset import TaskSet

MakeRelease = Callable[..., Path]

OLD = '''\
"""Numbers."""

__version__ = "1.0"


def double(value):
    return value


def half(value):
    return value / 2
'''
NEW = '''\
"""Numbers."""

__version__ = "1.1"


def double(value):
    return value * 2


def half(value):
    return value / 2


def triple(value):
    return value * 3
'''
TEST_OLD = """\
from numbers_lib import double, half


def test_half():
    assert half(4) == 2


def test_double_of_nothing():
    assert double(0) == 0
"""
TEST_NEW = (
    TEST_OLD.replace("double, half", "double, half, triple, __version__")
    + """

def test_double():
    assert double(4) == 8


def test_triple():
    assert triple(2) == 6


def test_version():
    assert __version__ == "1.1"
"""
)
CHANGES = """\
Changelog
=========

Release 1.1 (2020-01-01)
------------------------

* Doubling doubles; see return value * 2
* Numbers can be tripled

Release 1.0
-----------

* First
"""


@pytest.fixture
def releases(make_release: MakeRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two releases of a package, of which the second has a changelog, and a third like it."""
    monkeypatch.setenv("PIVOTRL_CACHE", str(tmp_path / "cache"))
    code, test = "src/numbers_lib/__init__.py", "tests/test_numbers.py"
    make_release("numbers-lib", "1.0", {code: OLD, test: TEST_OLD})
    new = {code: NEW, test: TEST_NEW, "CHANGES.rst": CHANGES, "PKG-INFO": "License: MIT\n"}
    make_release("numbers-lib", "1.1", new)
    make_release("numbers-lib", "1.2", new)
    return "releases:numbers-lib==1.0..1.1..1.2"


def only_task(spec: str) -> CodingTask:
    (task,) = open_source(spec).load().tasks
    return task


def test_a_pair_gives_a_task_that_says_what_the_changelog_says(releases: str) -> None:
    loaded = open_source(releases).load()
    (task,) = loaded.tasks
    assert loaded.problems == ("numbers-lib==1.1..1.2: the package's own code is the same in both",)
    names = [test.partition("::")[2] for test in task.fail_to_pass]
    # The new tests import what the old code lacks, so that all of their file fail on it; nobody
    # has to guess the version number.
    assert names == ["test_half", "test_double_of_nothing", "test_double", "test_triple"]
    assert task.pass_to_pass == ()
    assert "Numbers can be tripled" in task.issue
    assert "value * 2" not in task.issue
    assert task.issue.endswith("New public names that the tests use: numbers_lib.triple")
    assert task.licence == "MIT"
    assert (task.difficulty and task.difficulty.lines, task.difficulty) == (5, task.difficulty)


def test_the_new_tests_stay_out_of_the_box_and_decide(releases: str, tmp_path: Path) -> None:
    tasks = TaskSet(str(write(tmp_path, releases)))
    (task_id,) = tasks.ids
    env = CodingEnv(tasks=str(tmp_path / "tasks.jsonl"), max_turns=30)
    try:
        env.reset(options={"task_id": task_id})
        command = '{"name": "bash", "arguments": {"command": "grep -rn triple . | wc -l"}}'
        assert env.step(command)[0].splitlines()[-2] == "0"
        for seed in range(3):
            expert = CodingExpert(tasks.__getitem__, seed=seed)
            env.reset(options={"task_id": task_id})
            done, reward = False, 0.0
            while not done:
                (completion,) = expert.act([Context(env.messages, env.tools, task_id)])
                _, reward, terminated, truncated, info = env.step(completion.text)
                assert not info["action_error"]
                done = terminated or truncated
            assert reward == 1.0
    finally:
        env.close()


def write(folder: Path, spec: str) -> Path:
    write_tasks(folder / "tasks.jsonl", open_source(spec).load().tasks)
    return folder / "tasks.jsonl"


def test_without_a_changelog_the_issue_is_a_failing_test(
    releases: str, make_release: MakeRelease
) -> None:
    assert releases
    test = TEST_OLD + "\n\ndef test_double():\n    assert double(4) == 8\n"
    code = OLD.replace("    return value\n", "    return value + value\n")
    files = {"src/numbers_lib/__init__.py": code, "tests/test_numbers.py": test}
    make_release("numbers-lib", "1.0.1", files)
    task = only_task("releases:numbers-lib==1.0..1.0.1")
    assert task.issue.splitlines()[2:] == [
        "tests/test_numbers.py::test_double",
        "> assert double(4) == 8",
        "E assert 4 == 8",
        "E +  where 4 = double(4)",
    ]
    assert len(task.pass_to_pass) == 2


def test_a_pair_that_changes_too_much_is_left_out(releases: str) -> None:
    loaded = open_source(f"{releases}?max_changed_lines=2").load()
    assert not loaded.tasks
    assert (
        "numbers-lib==1.0..1.1: the change is too large: 5 lines of 1 files" in loaded.problems[0]
    )


def test_releases_are_built_once_and_validated(
    releases: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(releases)
    first = source.load()
    (validation,) = validate_tasks(source, first.tasks)
    assert (validation.oracle, validation.no_op, validation.reason) == (1.0, 0.0, None)

    def fail() -> None:
        raise AssertionError("nothing is left to be run")

    monkeypatch.setattr("pivot_envs.coding.tasks.built.build_pair", lambda *_: fail())
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    again = open_source(releases)
    assert again.load() == first
    assert validate_tasks(again, first.tasks, make_sandbox=fail) == (validation,)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("1.1\n---\n\nnew\n\n1.0\n---\n\nold", "new"),
        (
            "# Changes\n\n## [1.1.0] - 2020\n\n- new\n- see 1.0 for more\n\n## 1.0\n\n- old",
            "- new\n- see 1.0 for more",
        ),
        ("**1.1**\n\nnew\n\n**1.0.3**\n\nold", "new"),
        ("Version 1.10\n============\n\nother\n\nVersion 1.1\n===========\n\nnew", "new"),
        ("1.0\n---\n\nonly", ""),
        ("", ""),
    ],
)
def test_the_entry_of_a_version_is_found(text: str, entry: str) -> None:
    assert changelog_entry(text, "1.1") == entry


def test_an_entry_never_quotes_the_solution() -> None:
    text = "Fixed:\n    return value * 2\nDone"
    assert without_code(text, ["    return value * 2", "else:"]) == "Fixed:\nDone"
    assert len(without_code("word " * 2000, [])) == 3000
