"""The laws of a box's commands, files and test runs, each with the function that tries it."""

import re
import time
from collections.abc import Mapping

from pivot_envs.errors import SandboxError
from pivot_envs.sandbox.trial import EMPTY, TIME_S, Check, Trial, must_raise, unique_number

LAW_EMPTY = "a started box has a level and an empty workspace"
LAW_RESULT = "a command's output and exit code are a result, never an exception"
LAW_SHELL = "folder, variables and functions of the shell survive between commands"
LAW_FILES = "a file that is written is read back, and commands see it"
LAW_OUTSIDE = "paths outside the workspace are refused, with ValueError or FileNotFoundError"
LAW_CLIPPED = "long output keeps its head and its tail, and omitted_bytes counts the rest"
LAW_TIMEOUT = "a timeout ends the command's whole process tree in time and spares the shell"
LAW_TESTS = "run_tests() reports the outcome of each test, and nothing of a process that left"
LAW_FRESH = "an edit within the same second is seen by the next test run"
LAW_WARM = "a plain pytest command prints and returns what a cold one does"
LAW_CLOSED = "a closed box raises SandboxError, can be closed again, and starts again empty"

_TESTS = b"""
def test_passes(): pass

def test_fails(): assert 1 == 2, "not equal"
"""
_LEAVES = b"import os\n\ndef test_leaves(): os._exit(0)\n"
_OUTCOMES = {"test_some.py::test_passes": "passed", "test_some.py::test_fails": "failed"}


def _check_empty(trial: Trial) -> None:
    assert trial.box.level, "level is empty"
    state = trial.box.save()
    assert state == EMPTY, f"it has {state}"


def _check_result(trial: Trial) -> None:
    result = trial.run("echo one; echo two >&2; (exit 7)")
    assert (result.output, result.exit_code) == ("one\ntwo\n", 7), result
    for command in ("if", "exit 3", "nothing-of-this-name", "a\0b", "kill -9 $$"):
        result = trial.run(command)
        assert result.exit_code not in (0, None), f"{command!r} gave {result}"
        alive = trial.output("echo alive")
        assert alive == "alive\n", f"after {command!r} the shell says {alive!r}"


def _check_shell(trial: Trial) -> None:
    trial.run("mkdir sub; cd sub; X='a b'; greet() { echo hi $1; }")
    seen = trial.output('pwd; echo "$X"; greet you')
    assert seen.endswith("/sub\na b\nhi you\n"), seen


def _check_files(trial: Trial) -> None:
    content = bytes(range(256)) * 3
    trial.box.write_file("deep/er/file", content)
    assert trial.box.read_file("deep/er/file") == content, "another content comes back"
    assert (count := trial.output("wc -c < deep/er/file")) == "768\n", count
    trial.run("chmod 741 deep/er/file")
    trial.box.write_file("deep/er/file", b"short")
    seen = trial.output("stat -c %a deep/er/file; cat deep/er/file")
    assert seen == "741\nshort", seen


def _check_outside(trial: Trial) -> None:
    trial.run("ln -s /etc/passwd link; ln -s / up; mkdir folder")
    for path in ("../x", "/etc/passwd", "link", "up/etc/passwd", "folder", "none"):
        must_raise(FileNotFoundError, f"read {path!r}", trial.box.read_file, path)
        if path != "none":
            must_raise(ValueError, f"write {path!r}", trial.box.write_file, path, b"")


def _check_clipped(trial: Trial) -> None:
    result = trial.run("seq 1 100000")
    assert result.output.startswith("1\n2\n"), f"the head is {result.output[:20]!r}"
    assert result.output.endswith("99999\n100000\n"), f"the tail is {result.output[-20:]!r}"
    kept = len(re.sub(r"\n\[\.\.\. .*\n", "", result.output))
    whole = len("\n".join(map(str, range(1, 100_001)))) + 1
    assert abs(kept + result.omitted_bytes - whole) < 100, (
        f"{kept} bytes kept and {result.omitted_bytes} omitted of {whole}"
    )


def _check_timeout(trial: Trial) -> None:
    argument = unique_number()
    trial.run("X=kept")
    began = time.monotonic()
    command = f"X=lost; echo begun; (setsid sleep {argument} &); sleep {argument} & wait"
    result = trial.box.run(command, timeout_s=1.5)
    took_s = time.monotonic() - began
    assert took_s < TIME_S, f"a timeout of 1.5 s came after {took_s:.1f} s"
    assert (result.timed_out, result.exit_code, result.output) == (True, None, "begun\n"), result
    assert (left := trial.count(argument)) == 0, f"{left} processes are left"
    assert (kept := trial.output("echo $X")) == "kept\n", f"X is {kept!r}"


def _check_tests(trial: Trial) -> None:
    trial.box.write_file("test_some.py", _TESTS)
    report = trial.box.run_tests(["test_some.py"], timeout_s=TIME_S)
    assert report.outcomes == _OUTCOMES, report
    assert "not equal" in report.output, report.output
    only = ["test_some.py::test_passes"]
    outcomes = trial.box.run_tests(only, timeout_s=TIME_S).outcomes
    assert outcomes == {only[0]: "passed"}, outcomes
    trial.box.write_file("test_leaves.py", _LEAVES)
    outcomes = trial.box.run_tests(["test_leaves.py"], timeout_s=TIME_S).outcomes
    assert outcomes == {}, outcomes


def _check_fresh(trial: Trial) -> None:
    test = b"import some\n\ndef test_it(): assert some.factor == 2\n"
    trial.box.write_file("test_fresh.py", test)
    for factor in (2, 3, 2, 3):
        trial.box.write_file("some.py", b"factor = %d\n" % factor)
        outcomes = trial.box.run_tests(["test_fresh.py"], timeout_s=TIME_S).outcomes
        expected = "passed" if factor == 2 else "failed"
        assert outcomes == {"test_fresh.py::test_it": expected}, f"factor {factor}: {outcomes}"


def _check_warm(trial: Trial) -> None:
    trial.box.write_file("test_some.py", _TESTS)
    command = "python -m pytest -q -p no:cacheprovider test_some.py::test_fails"
    warm, cold = trial.run(command), trial.run(f"{command}; (exit $?)")
    assert warm.exit_code == cold.exit_code == 1, f"{warm} and {cold}"
    texts = [re.sub(r"\d+\.\d\ds", "", result.output) for result in (warm, cold)]
    assert texts[0] == texts[1], f"{texts[0]!r} and {texts[1]!r}"


def _check_closed(trial: Trial) -> None:
    trial.box.write_file("a", b"")
    trial.box.close()
    trial.box.close()
    must_raise(SandboxError, "run after close()", lambda: trial.run("true"))
    trial.box.start()
    trial.box.start()
    _check_empty(trial)


COMMAND_LAWS: Mapping[str, Check] = {
    LAW_EMPTY: _check_empty,
    LAW_RESULT: _check_result,
    LAW_SHELL: _check_shell,
    LAW_FILES: _check_files,
    LAW_OUTSIDE: _check_outside,
    LAW_CLIPPED: _check_clipped,
    LAW_TIMEOUT: _check_timeout,
    LAW_TESTS: _check_tests,
    LAW_FRESH: _check_fresh,
    LAW_WARM: _check_warm,
    LAW_CLOSED: _check_closed,
}
