"""SWE-bench rows made from releases, run end to end in Docker."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pivot_envs.coding.patch_grading import grade_patch
from pivot_envs.coding.tasks.instance import read_instances, write_instances
from pivot_envs.coding.tasks.release_history import ReleaseTree, release_change, write_history
from pivot_envs.coding.tasks.release_instances import make_instances
from pivot_envs.coding.tasks.repository import later_traces
from pivot_envs.coding.tasks.swebench import SweBench
from pivot_envs.errors import SourceError
from pivot_envs.sandbox.base import Sandbox
from pivot_envs.sandbox.docker import DockerSandbox

RELEASES = {"parse": ["1.20.0", "1.20.1", "1.20.2"], "semver": ["3.0.1", "3.0.2"]}


@pytest.fixture(scope="module")
def box(docker_image: str) -> Iterator[Sandbox]:
    with DockerSandbox(image=docker_image) as box:
        yield box


@pytest.fixture(scope="module")
def rows(box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of some of the releases that ``make-swebench`` takes by default."""
    folder = tmp_path_factory.mktemp("rows")
    instances = []
    for name, versions in RELEASES.items():
        try:
            history = write_history(name, versions, folder / "repositories")
        except SourceError as error:
            pytest.skip(str(error))
        path = folder / "repositories" / f"releases__{name}.git"
        assert later_traces(path, history.commits[0])
        found = list(make_instances(history, path, box))
        assert [pair.reason for pair in found] == [""] * (len(versions) - 1)
        instances += [pair.instance for pair in found if pair.instance is not None]
    write_instances(folder / "instances.jsonl", instances)
    return folder / "instances.jsonl"


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_gold_patches_resolve_and_empty_ones_do_not(rows: Path, box: Sandbox) -> None:
    source = SweBench(str(rows))
    loaded = source.load()
    assert (len(loaded.tasks), loaded.problems) == (3, ())
    for task in loaded.tasks:
        workspace = source.workspace(task)
        gold = workspace.solution_diff(task)
        assert grade_patch(box, task, workspace, gold, 120.0).failing == (), task.task_id
        failing = grade_patch(box, task, workspace, "", 120.0).failing
        assert set(task.fail_to_pass) == set(failing), task.task_id


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_the_statement_is_the_changelogs(rows: Path) -> None:
    by_id = {each.instance_id: each for each in read_instances(rows).instances}
    statement = by_id["releases__parse-1.20.1"].problem_statement
    assert "The `%f` directive accepts 1-6 digits" in statement


MakeRelease = Callable[[str, str, Mapping[str, str]], Path]


def test_the_same_releases_make_the_same_commits(make_release: MakeRelease, tmp_path: Path) -> None:
    for version, number in (("1.0", 2), ("1.1", 1)):
        files = {"tiny.py": f"one = {number}\n", "tests/test_tiny.py": "import tiny\n"}
        make_release("tiny", version, files)
    first = write_history("tiny", ["1.0", "1.1"], tmp_path / "a")
    again = write_history("tiny", ["1.0", "1.1"], tmp_path / "b")
    assert first.commits == again.commits
    assert len(set(first.commits)) == 2


def tree(version: str, files: Mapping[str, str]) -> ReleaseTree:
    return ReleaseTree("tiny", version, {k: v.encode() for k, v in files.items()}, {}, 0)


def test_a_release_is_taken_apart() -> None:
    old = tree("1.0", {"tiny.py": "a\n", "tests/test_a.py": "1\n", "CHANGES": "1.0\n===\n\n* x\n"})
    new = tree(
        "1.1",
        {
            "tiny.py": "b\n",
            "tests/test_a.py": "2\n",
            "README.md": "# tiny\n",
            "PKG-INFO": "1.1\n",
            "CHANGES": "1.1\n===\n\n* It is b now.\n\n1.0\n===\n\n* x\n",
        },
    )
    change = release_change(old, new)
    assert change.test_files == ("tests/test_a.py",)
    assert "tiny.py" in change.patch
    assert change.patch.count("diff --git") == 1
    assert change.test_patch.count("diff --git") == 1
    assert change.statement.strip() == "* It is b now."
