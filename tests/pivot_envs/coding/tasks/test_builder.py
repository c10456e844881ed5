import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pivot_envs.coding.__main__ import main
from pivot_envs.coding.source import PackageSource, fetch_source
from pivot_envs.coding.task_file import read_tasks
from pivot_envs.coding.tasks.builder import BuildConfig, build_tasks
from pivot_envs.coding.tasks.built import MutationTasks
from pivot_envs.coding.tasks.coverage import SuiteRecord, record_suite
from pivot_envs.coding.tasks.mutations import find_functions
from pivot_envs.coding.tasks.validation import validate_tasks
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import SourceError
from pivot_envs.sandbox.embedded import EmbeddedSandbox


def test_only_stable_tests_are_recorded_with_what_they_call(tiny_source: PackageSource) -> None:
    workspace = Workspace.of(tiny_source)
    with EmbeddedSandbox() as sandbox:
        record = record_suite(sandbox, workspace)
    add, inside, limits = sorted(record.durations_s)
    assert add.endswith("CounterTests::test_add")
    functions = find_functions("tiny.py", workspace.text("tiny.py"))
    covering = {each.name: record.covering_tests(each, limit=9) for each in functions}
    assert covering == {
        "clamp": (inside, limits),
        "Counter.__init__": (add,),
        "Counter.add": (add,),
        "never_tested": (),
    }


def test_suspects_are_what_failing_tests_run_and_others_hardly_do(
    tiny_source: PackageSource,
) -> None:
    tests = {"add": "t::add", "inside": "t::inside", "limits": "t::limits"}
    record = SuiteRecord(
        durations_s=dict.fromkeys(tests.values(), 0.1),
        callers={
            ("tiny.py", 4): frozenset(tests.values()),
            ("tiny.py", 14): frozenset({tests["add"]}),
            ("tiny.py", 18): frozenset({tests["add"], tests["inside"]}),
        },
    )
    workspace = Workspace.of(tiny_source)
    ranked = record.suspects(workspace, [tests["add"]], limit=9)
    # One over the root of 1, 2 and 3 tests that run each.
    assert ranked == ("tiny.py::Counter.__init__", "tiny.py::Counter.add", "tiny.py::clamp")
    assert record.suspects(workspace, [tests["add"]], limit=2) == ranked[:2]
    # Two over the root of six against one over the root of four.
    assert record.suspects(workspace, [tests["inside"], tests["limits"]], limit=9) == (
        "tiny.py::clamp",
        "tiny.py::Counter.add",
    )


def test_tasks_are_built_alike_by_any_number_of_workers_and_are_valid(
    tiny_source: PackageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[tuple[int, int]] = []
    one = build_tasks(
        tiny_source,
        BuildConfig(per_function=3, workers=1),
        progress=lambda *now: finished.append(now),
    )
    two = build_tasks(tiny_source, BuildConfig(per_function=3, workers=2))
    assert one.tasks == two.tasks
    assert finished == [(1, 3), (2, 3), (3, 3)]
    assert {task.bug.function for task in one.tasks} >= {"tiny.py::clamp", "tiny.py::Counter.add"}
    assert len({task.task_id for task in one.tasks}) == len(one.tasks)
    for task in one.tasks:
        assert task.fail_to_pass[0] in task.issue
        assert not set(task.fail_to_pass) & set(task.pass_to_pass)
        assert task.bug.function in task.suspects
        assert task.bug.lines == {"tiny.py::clamp": 5, "tiny.py::Counter.add": 3}.get(
            task.bug.function, 2
        )
    monkeypatch.setenv("PIVOTRL_CACHE", str(tmp_path / "cache"))
    source = MutationTasks("tiny==1.0")
    validations = validate_tasks(source, one.tasks)
    assert [each.task_id for each in validations] == [task.task_id for task in one.tasks]
    assert all(each.is_valid for each in validations)


def test_no_function_is_started_after_the_time_is_up(tiny_source: PackageSource) -> None:
    report = build_tasks(tiny_source, BuildConfig(time_budget_s=0.0))
    assert (report.tasks, report.skipped_functions) == ((), report.functions)


def test_a_release_whose_tests_cannot_run_is_reported(
    make_release: Callable[..., Path], tmp_path: Path
) -> None:
    make_release("tiny", "1.0", {"tiny.py": "", "test_tiny.py": "import missing_module"})
    source = fetch_source("tiny", "1.0", cache_dir=tmp_path / "cache")
    with pytest.raises(SourceError, match=r"tiny 1\.0: its tests cannot run here"):
        build_tasks(source)


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pivot_envs.coding", *arguments])
    return main()


def test_the_command_line_builds_validates_and_shows(
    tiny_source: PackageSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PIVOTRL_CACHE", str(tmp_path / "cache"))
    out = str(tmp_path / "tasks.jsonl.zst")
    assert _run(monkeypatch, "build", "tiny==1.0", "--out", out, "--per-function", "2") == 0
    tasks = read_tasks(out)
    assert f"{len(tasks)} tasks:" in capsys.readouterr().out
    assert _run(monkeypatch, "validate", out) == 0
    assert "1.0000" in capsys.readouterr().out
    assert _run(monkeypatch, "show", out, "--task-id", tasks[0].task_id) == 0
    assert tasks[0].fail_to_pass[0] in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "tiny>=1", "--out", "x.jsonl"),
        ("build", "not a name", "--out", "x.jsonl"),
        ("build", "unknown==1.0", "--out", "x.jsonl"),
        ("build", "--out", "x.jsonl"),
        ("validate", "missing.jsonl"),
        ("show", "missing.jsonl"),
    ],
)
def test_the_command_line_reports_errors_in_one_line(
    tiny_source: PackageSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.setenv("PIVOTRL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert _run(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert error.lstrip("\n").startswith("error: ")
    assert error.strip("\n").count("\n") == 0
