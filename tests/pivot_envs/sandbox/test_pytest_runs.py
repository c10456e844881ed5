import re
from collections.abc import Callable

import pytest

from pivot_envs.sandbox.base import Sandbox
from pivot_envs.sandbox.pytest_command import pytest_words

FILES = {
    "package/__init__.py": "def double(x):\n    return x * 2\n",
    "tests/conftest.py": "import pytest\n\n@pytest.fixture\ndef three():\n    return 3\n",
    "tests/test_a.py": """
import os
import sys
import unittest
import warnings

import pytest

from package import double


def test_passes(three):
    assert double(three) == 6

def test_fails():
    print("printed", file=sys.stderr)
    assert double([1]) == [1], "not equal"

@pytest.mark.skip
def test_skipped():
    pass

@pytest.mark.xfail
def test_expected():
    assert False

@pytest.mark.parametrize("value", [1, 2])
def test_parameters(value):
    warnings.warn("odd")
    assert value == 1

@pytest.fixture
def broken():
    raise OSError("no")

@pytest.fixture
def broken_later():
    yield
    raise OSError("late")

def test_setup(broken):
    pass

def test_teardown(broken_later):
    pass

class Case(unittest.TestCase):
    def test_one_subtest_fails(self):
        for value in range(3):
            with self.subTest(value=value):
                self.assertNotEqual(value, 0)

    def test_subtests_pass(self):
        for value in range(3):
            with self.subTest(value=value):
                self.assertEqual(value, value)

    def test_one_subtest_is_skipped(self):
        with self.subTest(value=1):
            self.skipTest("no")
""",
    "tests/test_exit.py": """
import os

def test_before():
    pass

def test_leaves():
    os._exit(0)

def test_after():
    pass
""",
}

OUTCOMES = {
    "test_passes": "passed",
    "test_fails": "failed",
    "test_skipped": "skipped",
    "test_expected": "skipped",
    "test_parameters[1]": "passed",
    "test_parameters[2]": "failed",
    "test_setup": "error",
    "test_teardown": "error",
    "Case::test_one_subtest_fails": "failed",
    "Case::test_subtests_pass": "passed",
    "Case::test_one_subtest_is_skipped": "passed",
}


@pytest.fixture
def project(box: Sandbox) -> Sandbox:
    for path, text in FILES.items():
        box.write_file(path, text.encode())
    return box


def without_times(text: str) -> str:
    return re.sub(r"\d+\.\d\ds", "0.00s", text)


def test_each_named_outcome_is_reported(project: Sandbox) -> None:
    report = project.run_tests(["tests/test_a.py"], timeout_s=30)
    assert report.outcomes == {f"tests/test_a.py::{name}": o for name, o in OUTCOMES.items()}
    assert "not equal" in report.output
    assert not report.timed_out


def test_only_the_named_tests_run(project: Sandbox) -> None:
    names = ["tests/test_a.py::test_parameters[2]", "tests/test_a.py::Case::test_subtests_pass"]
    report = project.run_tests(names, timeout_s=30)
    assert report.outcomes == {names[0]: "failed", names[1]: "passed"}


def test_a_test_that_does_not_exist_keeps_no_other_from_running(project: Sandbox) -> None:
    names = ["tests/test_a.py::test_passes", "tests/test_a.py::test_gone", "tests/none.py::test_x"]
    report = project.run_tests(names, timeout_s=30)
    assert report.outcomes == {names[0]: "passed"}


def test_a_file_that_cannot_be_imported_keeps_no_other_from_running(project: Sandbox) -> None:
    project.write_file("tests/test_b.py", b"import nothing_of_this_name\n\ndef test_x(): pass\n")
    names = ["tests/test_a.py::test_passes", "tests/test_b.py::test_x"]
    assert project.run_tests(names, timeout_s=30).outcomes == {names[0]: "passed"}


def test_a_process_that_leaves_early_reports_nothing_of_its_test(project: Sandbox) -> None:
    report = project.run_tests(["tests/test_exit.py"], timeout_s=30)
    assert report.outcomes == {"tests/test_exit.py::test_before": "passed"}


@pytest.mark.parametrize("line", ["import os; os._exit(0)", "raise SystemExit(0)"])
def test_a_package_that_exits_on_import_passes_no_test(project: Sandbox, line: str) -> None:
    project.write_file("package/__init__.py", f"{line}\n".encode())
    assert project.run_tests(["tests/test_a.py::test_passes"], timeout_s=30).outcomes == {}


def test_a_test_run_that_takes_too_long_is_ended(project: Sandbox) -> None:
    text = b"import time\n\ndef test_a(): pass\n\ndef test_b(): time.sleep(60)\n"
    project.write_file("tests/test_slow.py", text)
    report = project.run_tests(["tests/test_slow.py"], timeout_s=5)
    assert report.timed_out
    assert report.outcomes == {"tests/test_slow.py::test_a": "passed"}
    assert project.run("pgrep -u $(id -u) -c python", timeout_s=5).output == "0\n"


def test_processes_left_by_tests_are_ended(project: Sandbox) -> None:
    text = b"import os\n\ndef test_a():\n    os.system('setsid sleep 51 &')\n"
    project.write_file("tests/test_left.py", text)
    report = project.run_tests(["tests/test_left.py"], timeout_s=30)
    assert set(report.outcomes.values()) == {"passed"}
    assert project.run("pgrep -cU $(id -u) sleep", timeout_s=5).output == "0\n"


def test_the_agents_shell_does_not_reach_into_a_test_run(project: Sandbox) -> None:
    project.run("export PYTEST_ADDOPTS=--collect-only PYTHONPATH=/tmp; cd /tmp", timeout_s=5)
    names = ["tests/test_a.py::test_passes"]
    assert project.run_tests(names, timeout_s=30).outcomes == {names[0]: "passed"}


def test_a_test_run_leaves_the_workspace_as_it_was(project: Sandbox) -> None:
    before = project.save()
    project.run_tests(["tests/test_a.py"], timeout_s=30)
    assert project.save() == before


def test_a_changed_source_is_never_run_from_the_cache(project: Sandbox) -> None:
    names = ["tests/test_a.py::test_passes"]
    for factor, outcome in [(2, "passed"), (3, "failed"), (4, "failed"), (2, "passed")]:
        text = FILES["package/__init__.py"].replace("2", str(factor))
        project.write_file("package/__init__.py", text.encode())
        assert project.run_tests(names, timeout_s=30).outcomes == {names[0]: outcome}


def test_a_test_run_needs_a_name(box: Sandbox) -> None:
    with pytest.raises(ValueError, match="at least one"):
        box.run_tests([], timeout_s=5)


@pytest.mark.parametrize(
    "command",
    [
        "python -m pytest tests/test_a.py",
        "python3 -m pytest -q tests/test_a.py::test_fails",
        "python -m pytest -q 'tests/test_a.py::test_parameters[2]'",
        "pytest -x -q tests/test_a.py",
        "PYTHONPATH=. pytest tests",
        "python -m pytest -q tests/test_exit.py",
        "python -m pytest --no-such-option",
        "python -m pytest tests/none.py",
        "python -m pytest --version",
    ],
)
def test_a_warm_run_prints_what_a_cold_one_prints(project: Sandbox, command: str) -> None:
    if command.startswith("PYTHONPATH"):
        project.run("export PYTHONPATH=.", timeout_s=5)
        command = command.removeprefix("PYTHONPATH=. ")
    project.run("rm -rf .pytest_cache", timeout_s=5)
    warm = project.run(command, timeout_s=30)
    project.run("rm -rf .pytest_cache", timeout_s=5)
    cold = project.run(f"{command}; (exit $?)", timeout_s=30)
    assert (without_times(warm.output), warm.exit_code) == (
        without_times(cold.output),
        cold.exit_code,
    )


def test_a_warm_run_is_a_fork_with_the_shells_folder_and_variables(project: Sandbox) -> None:
    text = (
        "import os, sys\n\ndef test_a():\n"
        "    print(os.getcwd(), os.environ['X'], os.getppid(), 'package' in sys.modules)\n"
    )
    project.write_file("sub/test_where.py", text.encode())
    project.run("cd sub; export X='a b'", timeout_s=5)
    warm = project.run("pytest -q -s test_where.py", timeout_s=30).output
    assert "/workspace/sub a b" in warm
    assert "False" in warm
    # The shell starts a cold run; the warm one's parent is no process of the shell.
    shell = project.run("echo $$", timeout_s=5).output.strip()
    assert f" {shell} " not in warm
    assert f" {shell} " in project.run("pytest -q -s test_where.py; :", timeout_s=30).output


def test_the_exit_code_of_a_warm_run_is_known_to_the_shell(project: Sandbox) -> None:
    assert project.run("python -m pytest -q tests/test_a.py", timeout_s=30).exit_code == 1
    assert project.run("echo $?", timeout_s=5).output == "1\n"


def test_a_redefined_pytest_is_respected(project: Sandbox) -> None:
    project.run("pytest() { echo mine $1; }", timeout_s=5)
    assert project.run("pytest tests", timeout_s=5).output == "mine tests\n"
    project.run("unset -f pytest; alias pytest='echo alias'", timeout_s=5)
    assert project.run("pytest tests", timeout_s=5).output == "alias tests\n"
    project.run("unalias pytest; PATH=/usr/bin:/bin", timeout_s=5)
    assert project.run("pytest --version", timeout_s=5).exit_code in (0, 127)


def test_a_warm_run_that_takes_too_long_is_ended(project: Sandbox) -> None:
    text = b"import time\n\ndef test_b():\n    print('begun', flush=True)\n    time.sleep(60)\n"
    project.write_file("tests/test_slow.py", text)
    result = project.run("pytest -s tests/test_slow.py", timeout_s=5)
    assert result.timed_out
    assert "begun" in result.output
    command = "python -m pytest -q tests/test_a.py::test_passes"
    assert project.run(command, timeout_s=30).exit_code == 0


def test_a_killed_warm_interpreter_comes_back(project: Sandbox) -> None:
    names = ["tests/test_a.py::test_passes"]
    project.run("kill -9 -1", timeout_s=5)
    assert project.run_tests(names, timeout_s=30).outcomes == {names[0]: "passed"}


@pytest.mark.parametrize(
    "command",
    [
        "pytest | tail -1",
        "pytest; true",
        "pytest $FILES",
        "pytest tests/*.py",
        "pytest test_a.py::test_b[1]",
        "pytest > out",
        "pytest 'open",
        "pytest `x`",
        "pytest\npytest",
        "python -m pytest2",
        "python script.py",
        "pytester",
        "",
    ],
)
def test_what_bash_would_change_is_no_plain_pytest_command(command: str) -> None:
    assert pytest_words(command) == ()


def test_a_plain_pytest_command_gives_its_words() -> None:
    assert pytest_words('pytest -k "a and b"') == ("pytest", "-k", "a and b")
    assert pytest_words("python3 -m pytest") == ("python3", "-m", "pytest")


def test_tests_have_temporary_files_from_the_first_run_on(make_box: Callable[[], Sandbox]) -> None:
    test = b"def test_a(tmp_path): (tmp_path / 'file').write_text('')\n"
    with make_box() as fresh:
        fresh.write_file("test_a.py", test)
        result = fresh.run("python -m pytest -q test_a.py", timeout_s=30)
        assert result.exit_code == 0, result.output
