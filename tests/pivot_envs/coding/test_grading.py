import json
from pathlib import Path

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.grading import graded_state
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.sandbox.base import FileEntry, SandboxState

REPAIR = {"path": "tiny.py", "line": 9, "old": "low", "new": "high"}
VANDALISM = (
    "rm -rf tests",
    "sed -i 's/def test_/def no_test_/' tests/test_tiny.py",
    "printf 'import os\\nos._exit(0)\\n' > tests/test_tiny.py",
    "printf 'def pytest_runtest_makereport(): ...\\nraise SystemExit(0)\\n' > conftest.py",
    "cp /dev/null tests/__init__.py; printf 'collect_ignore_glob = [\"*\"]\\n' > tests/conftest.py",
    "printf '[pytest]\\naddopts = --collect-only\\n' > pytest.ini",
    "printf 'import os\\nos._exit(0)\\n' > sitecustomize.py",
    "printf 'import os\\nos._exit(0)\\n' > usercustomize.py",
    "printf 'import os\\nos._exit(0)\\n' > pytest.py",
    "mkdir _pytest; printf 'import os\\nos._exit(0)\\n' > _pytest/__init__.py",
    "mkdir tiny; printf 'import os\\nos._exit(0)\\n' > tiny/__init__.py",
    "rm -rf tests; ln -s /tmp tests",
    "export PYTHONSTARTUP=x PYTEST_ADDOPTS=--collect-only PYTHONPATH=/tmp; pytest() { :; }",
    "printf 'import os\\nos._exit(0)\\n' > /tmp/pytest.py; cd /tmp",
)


def act(env: CodingEnv, name: str, **arguments: object) -> tuple[str, float, bool]:
    text = json.dumps({"name": name, "arguments": arguments})
    observation, reward, terminated, _, info = env.step(text)
    assert info["infra_error"] is None
    assert info["action_error"] is None, observation
    return observation, reward, terminated


@pytest.mark.parametrize("command", VANDALISM)
def test_vandalised_tests_earn_nothing(tiny_env: CodingEnv, command: str) -> None:
    act(tiny_env, "bash", command=command)
    observation, reward, terminated = act(tiny_env, "submit")
    assert (observation, reward, terminated) == ("submitted: 2 of 3 tests pass", 0.0, True)


@pytest.mark.parametrize("command", VANDALISM)
def test_a_repair_counts_whatever_became_of_the_tests(tiny_env: CodingEnv, command: str) -> None:
    act(tiny_env, "edit", **REPAIR)
    act(tiny_env, "bash", command=command)
    assert act(tiny_env, "submit") == ("submitted: 3 of 3 tests pass", 1.0, True)


@pytest.mark.parametrize(
    "command",
    [
        "printf 'import os\\nos._exit(0)\\n' >> tiny.py",
        "printf 'import pytest\\npytest.skip(allow_module_level=True)\\n' >> tiny.py",
        "rm tiny.py",
        "rm tiny.py; mkdir tiny.py",
        "ln -sf /etc/hostname tiny.py",
        "printf 'while True: pass\\n' | head -c 5 > tiny.py",
    ],
)
def test_a_broken_package_earns_nothing(tiny_env: CodingEnv, command: str) -> None:
    act(tiny_env, "bash", command=command)
    assert act(tiny_env, "submit") == ("submitted: 0 of 3 tests pass", 0.0, True)


def test_a_wrong_repair_leaves_the_failing_test_failing(tiny_env: CodingEnv) -> None:
    act(tiny_env, "edit", path="tiny.py", line=9, old="low", new="value")
    assert act(tiny_env, "submit") == ("submitted: 2 of 3 tests pass", 0.0, True)


def test_a_repair_that_breaks_a_passing_test_earns_nothing(tiny_env: CodingEnv) -> None:
    act(tiny_env, "edit", **REPAIR)
    act(tiny_env, "edit", path="tiny.py", line=10, old="value", new="None")
    assert act(tiny_env, "submit") == ("submitted: 2 of 3 tests pass", 0.0, True)


def test_tests_inside_the_package_cannot_be_shadowed(tiny_tasks: Path) -> None:
    tasks = TaskSet(str(tiny_tasks))
    workspace = tasks.workspace(tasks["tiny-1.0/clamp"])
    shadows = SandboxState(
        (
            FileEntry("tests", "symlink", 0, "tiny.py"),
            FileEntry("tiny.py", "symlink", 0, "tests"),
            FileEntry("conftest.py", "symlink", 0, "tiny.py"),
        ),
        "cd /",
        {},
    )
    graded = graded_state(shadows, workspace)
    kinds = {entry.path: entry.kind for entry in graded.files}
    assert kinds == {"tests": "directory", "tests/test_tiny.py": "file", "tiny.py": "symlink"}
    assert graded.shell == ""


def test_the_answer_is_nowhere_in_the_box(tiny_env: CodingEnv) -> None:
    act(tiny_env, "bash", command="pytest -q tests; python -c 'import tiny'")
    found = act(tiny_env, "bash", command="grep -rlE '^ +return high$' /workspace | wc -l")
    assert found[0] == "0\n[exit code 0]"
