from pathlib import Path

import pytest

from pivot_envs.coding.source import PackageSource
from pivot_envs.coding.tasks.builder import BuildConfig, build_tasks
from pivot_envs.coding.tasks.built import MutationTasks, ReleasePairs
from pivot_envs.coding.tasks.combinations import plan_combinations
from pivot_envs.coding.tasks.validation import validate_tasks
from pivot_envs.errors import TaskError

MODULE = "".join(
    f"def {name}(value):\n    return value + {n}\n\n\n" for n, name in enumerate("abc")
)
TESTS = "import three\n\n\n" + "".join(
    f"def test_{name}():\n    assert three.{name}(1) == {1 + n}\n\n\n"
    for n, name in enumerate("abc")
)


@pytest.fixture
def three(make_release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """A release with three functions, each with a test of its own."""
    monkeypatch.setenv("PIVOTRL_CACHE", str(tmp_path / "cache"))
    make_release("three", "1.0", {"three.py": MODULE, "tests/test_three.py": TESTS})


def test_combined_bugs_are_valid_tasks_and_each_part_is_described(three: None) -> None:
    source = MutationTasks("three==1.0?per_function=1&combined=2")
    loaded = source.load()
    singles = [task for task in loaded.tasks if len(task.bug.mutations) == 1]
    combined = [task for task in loaded.tasks if len(task.bug.mutations) > 1]
    assert len(combined) > 0
    for task in combined:
        parts = len(task.bug.mutations)
        assert len(set(task.bug.functions)) == parts
        assert task.difficulty is not None
        assert (task.difficulty.files, task.difficulty.lines) == (1, parts)
        assert len(task.fail_to_pass) == parts
        assert all(test in task.issue for test in task.fail_to_pass)
    validations = validate_tasks(source, [*singles, *combined])
    assert all(each.is_valid for each in validations)


def test_a_second_load_builds_nothing(three: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first = MutationTasks("three==1.0?per_function=1").load()
    monkeypatch.setattr("pivot_envs.coding.tasks.built.build_tasks", None)
    assert MutationTasks("three==1.0?per_function=1").load() == first


def test_a_package_that_cannot_be_used_does_not_spoil_the_others(three: None) -> None:
    loaded = MutationTasks("three==1.0,missing==1.0?per_function=1").load()
    assert loaded.tasks
    (problem,) = loaded.problems
    assert "no source release of a package 'missing'" in problem


def test_too_few_functions_give_no_combination(tiny_source: PackageSource) -> None:
    singles = build_tasks(tiny_source, BuildConfig(per_function=1)).tasks[:2]
    assert plan_combinations(singles, count=3, seed=0) == ()


@pytest.mark.parametrize(
    ("make", "argument", "reason"),
    [
        (MutationTasks, "", "name at least one package"),
        (MutationTasks, "three>=1", "names no single version"),
        (MutationTasks, "three==1.0?speed=9", "unknown option 'speed'; there are per_function"),
        (MutationTasks, "three==1.0?per_function=many", "option per_function: Input should be"),
        (ReleasePairs, "three==1.0", "names no pair of releases; expected name==old..new"),
        (ReleasePairs, "three==1.0..new", "names no pair of releases"),
    ],
)
def test_a_damaged_spec_is_named(make: type[MutationTasks], argument: str, reason: str) -> None:
    with pytest.raises(TaskError, match=reason):
        make(argument)
