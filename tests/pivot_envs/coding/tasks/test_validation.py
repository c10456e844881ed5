"""Validation names what is wrong with a task: the boxes are real, the tasks are bad."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pivot_envs.coding.gold import Patch
from pivot_envs.coding.task import CodingTask, Environment, Foreign
from pivot_envs.coding.task_file import LoadedTasks
from pivot_envs.coding.tasks.report import ValidationReport
from pivot_envs.coding.tasks.validation import REPEATS, Validation, validate_tasks
from pivot_envs.coding.workspace import Workspace, make_state
from pivot_envs.errors import TaskError
from pivot_envs.sandbox.base import TestReport
from pivot_envs.sandbox.embedded import EmbeddedSandbox

CODE = "def double(x):\n    return x\n"
TESTS = """\
import socket
import time

from lib import double


def test_double():
    assert double(2) == 4


def test_nothing():
    assert double(0) == 0


def test_flaky():
    pass


def test_network():
    socket.create_connection(("example.com", 80), timeout=5)


def test_slow():
    time.sleep(60)


def test_hungry():
    assert len(bytearray(2**40)) > 0
"""
GOLD = Patch("--- a/lib.py\n+++ b/lib.py\n@@ -2 +2 @@\n-    return x\n+    return x * 2\n")
ID = "tests/test_lib.py::test_"
TASK = CodingTask("ok", "", Foreign("made here"), (f"{ID}double",), (f"{ID}nothing",), GOLD)


class Made:
    def load(self) -> LoadedTasks:
        return LoadedTasks((TASK,))

    def workspace(self, task: CodingTask) -> Workspace:
        if task.task_id == "lost":
            raise TaskError("lost: its image is absent")
        files = {"lib.py": CODE.encode(), "tests/test_lib.py": TESTS.encode()}
        return Workspace("lib", "1", make_state(files, {}), ("lib.py",), ("tests",))


def validated(*tasks: CodingTask, cache: object) -> tuple[Validation, ...]:
    return validate_tasks(Made(), tasks, workers=1, cache_dir=str(cache))


def variant(name: str, passing: Sequence[str] = (), **changes: object) -> CodingTask:
    named = tuple(f"{ID}{test}" for test in passing)
    return replace(TASK, task_id=name, pass_to_pass=named, **changes)  # type: ignore[arg-type]


def test_a_good_task_is_valid_and_a_second_run_needs_no_box(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    assert validated(TASK, cache=cache) == (Validation("ok", 1.0, 0.0),)
    progress: list[tuple[int, int]] = []

    def no_box() -> None:
        raise AssertionError("a box was started")

    again = validate_tasks(
        Made(),
        (TASK,),
        cache_dir=cache,
        make_sandbox=no_box,  # type: ignore[arg-type]
        progress=lambda *done: progress.append(done),
    )
    assert again == (Validation("ok", 1.0, 0.0),)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (
            variant("absent", ["lost"]),
            "test_lost does not pass .*: there is no such test",
        ),
        (variant("network", ["network"]), "test_network does not pass .*: it needs the network"),
        (variant("hungry", ["hungry"]), "test_hungry does not pass .*: it needs more memory"),
        (
            variant("slow", ["slow"], environment=Environment(timeout_s=8.0)),
            "the tests did not end in time",
        ),
        (variant("solved", fail_to_pass=(f"{ID}nothing",)), "passes without the solution"),
        (variant("broken", ["double"], fail_to_pass=(f"{ID}double",)), "PASS_TO_PASS fails at"),
        (variant("unfit", gold=Patch(GOLD.diff.replace("x\n", "y\n"))), "unfit: the diff does"),
        (variant("lost", origin=Foreign("made here", {"image": "absent"})), "its image is absent"),
        (
            variant("needy", environment=Environment(("no-such-package-1>=2",))),
            "its tests need no-such-package-1>=2, which is not installed",
        ),
        (variant("old", environment=Environment(("pytest<2",))), "need pytest<2, but"),
        (
            variant("odd", environment=Environment(("a b",))),
            "environment.requirements: 'a b' is no",
        ),
    ],
    ids=lambda value: value.task_id if isinstance(value, CodingTask) else "",
)
def test_what_is_wrong_with_a_task_is_named_and_the_rest_is_valid(
    tmp_path_factory: pytest.TempPathFactory, task: CodingTask, reason: str
) -> None:
    bad, good = validated(task, TASK, cache=tmp_path_factory.mktemp("cache"))
    assert good.is_valid
    assert bad.reason is not None
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(bad.reason)


class Moody(EmbeddedSandbox):
    """A box that leaves out the flaky test every other time."""

    runs = 0

    def run_tests(
        self, test_ids: Sequence[str], *, timeout_s: float, options: Sequence[str] = ()
    ) -> TestReport:
        self.runs += 1
        left_out = ("--deselect", f"{ID}flaky") if self.runs % 2 else ()
        return super().run_tests(test_ids, timeout_s=timeout_s, options=(*options, *left_out))


def test_flaky_tests_are_dropped_by_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    tasks = (
        variant("some", ["flaky", "nothing"]),
        variant("all", fail_to_pass=(f"{ID}flaky",)),
    )
    cache = tmp_path_factory.mktemp("cache")
    some, every = validate_tasks(Made(), tasks, workers=1, cache_dir=cache, make_sandbox=Moody)
    assert (some.is_valid, some.flaky) == (True, (f"{ID}flaky",))
    assert every.reason == "all FAIL_TO_PASS tests are flaky"
    report = ValidationReport.of(LoadedTasks(tasks), (some, every))
    assert report.valid[0].pass_to_pass == (f"{ID}nothing",)
    assert report.rows() == [("made here", "2", "1", "1.0000", "0.0000", "2")]
    assert '"flaky"' in report.as_json()
    assert REPEATS == 3
