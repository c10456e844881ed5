import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import pytest

from pivot_envs import ToolCall
from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.patch_grading import grade_patch
from pivot_envs.coding.task_source import open_source
from pivot_envs.coding.tasks.instance import Instance, write_instances
from pivot_envs.coding.tasks.predictions import Prediction, read_predictions, write_predictions
from pivot_envs.coding.tasks.pytest_names import pytest_name
from pivot_envs.coding.tasks.swebench import SweBench
from pivot_envs.coding.taskset import TaskWarning
from pivot_envs.errors import SandboxUnavailableError, SourceError, TaskError
from pivot_envs.sandbox.base import Sandbox
from pivot_envs.sandbox.embedded import EmbeddedSandbox
from pivot_envs.sandbox.engine import connect

TEST_PATCH = """\
diff --git a/tests/test_tiny.py b/tests/test_tiny.py
--- a/tests/test_tiny.py
+++ b/tests/test_tiny.py
@@ -4,2 +4,2 @@
 def test_it():
-    one()
+    assert one() == 1
"""
BINARY = "diff --git a/x b/x\nGIT binary patch\n"
OFFICIAL = Path(__file__).parent / "data" / "swebench_instance.json"
EDIT = ToolCall("edit", {"path": "tiny.py", "line": 2, "old": "2", "new": "1"}).as_text()
SUBMIT = ToolCall("submit", {}).as_text()


@pytest.fixture
def instance(clone: Path, git_at: Callable[[Path], Callable[..., str]]) -> Instance:
    git = git_at(clone)
    return Instance(
        instance_id="owner__tiny-1",
        repo="owner/tiny",
        base_commit=git("rev-parse", "base"),
        problem_statement="one() gives 2",
        patch=git("diff", "base", "trunk") + "\n",
        test_patch=TEST_PATCH,
        fail_to_pass=("tests/test_tiny.py::test_it",),
        pass_to_pass=(),
    )


@pytest.fixture
def rows(clone: Path, instance: Instance) -> Path:
    path = clone.parents[1] / "rows.jsonl"
    write_instances(path, [instance])
    return path


@pytest.fixture
def box() -> Iterator[Sandbox]:
    box = EmbeddedSandbox()
    try:
        box.start()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    yield box
    box.close()


@pytest.fixture
def env(rows: Path, box: Sandbox) -> Iterator[CodingEnv]:
    made = gym.make("pivot/Coding-v0", tasks=f"swebench:{rows}").unwrapped
    assert isinstance(made, CodingEnv)
    yield made
    made.close()


def test_a_row_becomes_a_task(rows: Path, instance: Instance) -> None:
    source = open_source(f"swebench:{rows}")
    loaded = source.load()
    assert loaded.problems == ()
    (task,) = loaded.tasks
    assert (task.task_id, task.issue) == ("owner__tiny-1", "one() gives 2")
    assert task.packages() == {"tiny"}
    workspace = source.workspace(task)
    assert workspace.version == instance.base_commit
    state = workspace.start_state(task)
    links = {entry.path: entry.content for entry in state.files if entry.kind == "symlink"}
    assert links == {"link": "tiny.py"}
    assert any(entry.path.startswith(".git/objects/pack/") for entry in state.files)


def test_a_file_without_its_kind_is_refused_with_what_to_say(rows: Path) -> None:
    with pytest.raises(TaskError, match=f"holds SWE-bench rows: name it with .*swebench:{rows}"):
        open_source(str(rows)).load()


def test_the_folder_of_repositories_can_be_named(rows: Path, clone: Path, tmp_path: Path) -> None:
    moved = shutil.copy(rows, tmp_path / "elsewhere.jsonl")
    source = SweBench(f"{moved}:{clone.parent}")
    assert len(source.load().tasks) == 1


def test_the_gold_patch_resolves_and_the_empty_one_does_not(rows: Path, box: Sandbox) -> None:
    source = SweBench(str(rows))
    (task,) = source.load().tasks
    workspace = source.workspace(task)
    gold = workspace.solution_diff(task)
    assert grade_patch(box, task, workspace, gold, 60.0).is_solved
    assert not grade_patch(box, task, workspace, "", 60.0).is_solved
    unfit = gold.replace("return 2", "return 3")
    assert grade_patch(box, task, workspace, unfit, 60.0).failing == task.fail_to_pass


def test_a_row_of_swe_smith_begins_with_the_bug(
    clone: Path, instance: Instance, git_at: Callable[[Path], Callable[..., str]], box: Sandbox
) -> None:
    git = git_at(clone)
    row = replace(instance, patch=git("diff", "trunk", "base", "--", "tiny.py") + "\n").as_row()
    commit = git("rev-parse", "--short=8", "trunk")
    row = {key: row[key] for key in ("instance_id", "problem_statement", "patch")} | {
        "repo": f"swesmith/owner__tiny.{commit}",
        "FAIL_TO_PASS": ["tests/test_tiny.py::test_it"],
        "PASS_TO_PASS": [],
        "image_name": "swesmith/absent",
    }
    path = clone.parents[1] / "smith.jsonl"
    path.write_text(json.dumps(row))
    source = SweBench(str(path))
    (task,) = source.load().tasks
    workspace = source.workspace(task)
    start = workspace.start_state(task)
    tiny = next(entry for entry in start.files if entry.path == "tiny.py")
    assert start.blobs[tiny.content] == b"def one():\n    return 2\n"
    assert "+    return 1  # the telling fix" in workspace.solution_diff(task)
    box.load(workspace.solved_state(task))
    assert b"telling fix" in box.read_file("tiny.py")


def test_an_episode_ends_with_a_prediction(env: CodingEnv, tmp_path: Path, box: Sandbox) -> None:
    env.reset(seed=0)
    assert env.patch() == ""
    env.step(EDIT)
    env.step(ToolCall("bash", {"command": "echo '#' >> tests/test_tiny.py"}).as_text())
    before = env.patch()
    assert "-    return 2\n+    return 1\n" in before
    assert "test_tiny" not in before
    _, reward, terminated, _, info = env.step(SUBMIT)
    assert (reward, terminated, info["is_success"]) == (1.0, True, True)
    assert env.patch() == before
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, [Prediction(info["task_id"], "me", before)])
    (prediction,) = read_predictions(path)
    verdict = grade_patch(box, env.task, env._workspace(), prediction.model_patch, 60.0)
    assert verdict.is_solved


def test_git_in_the_box_knows_the_history_and_no_more(env: CodingEnv) -> None:
    env.reset(seed=0)
    log = env.step(
        ToolCall("bash", {"command": "git log --all --format=%s; git status -s"}).as_text()
    )
    assert log[0] == "second\nfirst\n[exit code 0]"
    env.step(EDIT)
    diff = env.step(ToolCall("bash", {"command": "git diff --stat"}).as_text())
    assert "tiny.py | 2 +-" in diff[0]


@pytest.mark.docker
def test_an_episode_uses_the_instances_own_image(rows: Path, docker_image: str) -> None:
    name = "sweb.eval.x86_64.owner__tiny-1"
    with contextlib.closing(connect()) as engine:
        engine.tag(docker_image, name, "latest")
        try:
            env = gym.make("pivot/Coding-v0", tasks=f"swebench:{rows}", sandbox="docker")
            coding = env.unwrapped
            assert isinstance(coding, CodingEnv)
            assert coding._tasks["owner__tiny-1"].environment.image == f"{name}:latest"
            env.reset(seed=0)
            (container,) = [
                each
                for each in engine.containers(filters={"ancestor": name})
                if each["Image"].startswith(name)
            ]
            command = "ls -A /testbed | wc -l; echo $PATH"
            shown = env.step(ToolCall("bash", {"command": command}).as_text())[0].split("\n")
            env.step(EDIT)
            _, reward, _, _, _ = env.step(SUBMIT)
            env.close()
        finally:
            engine.remove_image(f"{name}:latest")
    assert container["State"] == "running"
    assert shown[0] == "0"
    assert shown[1].startswith("/opt/miniconda3/envs/testbed/bin:")
    assert reward == 1.0


@pytest.mark.docker
@pytest.mark.usefixtures("docker_image")
def test_an_absent_image_is_named(rows: Path, instance: Instance) -> None:
    image = "swesmith.x86_64.owner_1776_tiny.0123"
    write_instances(rows, [replace(instance, image=image)])
    with pytest.raises(SandboxUnavailableError, match=f"no image '{image}'; .* docker pull"):
        gym.make("pivot/Coding-v0", tasks=f"swebench:{rows}", sandbox="docker")


@pytest.mark.docker
def test_of_several_images_the_absent_one_is_named_when_its_task_begins(
    rows: Path, instance: Instance, docker_image: str
) -> None:
    absent = replace(instance, instance_id="owner__tiny-2", image="sweb.eval.x86_64.lost")
    write_instances(rows, [absent, replace(instance, image=docker_image)])
    env = gym.make("pivot/Coding-v0", tasks=f"swebench:{rows}", sandbox="docker")
    with pytest.raises(SandboxUnavailableError, match=r"no image .*x86_64\.lost"):
        env.reset(seed=0, options={"task_id": "owner__tiny-2"})
    env.reset(seed=0, options={"task_id": "owner__tiny-1"})
    env.close()


def test_what_is_not_there_is_named_and_the_rest_loads(rows: Path, instance: Instance) -> None:
    broken = [
        replace(instance, instance_id="no-repo", repo="owner/huge"),
        replace(instance, instance_id="no-commit", base_commit="0123456789"),
        replace(instance, instance_id="no-test", fail_to_pass=("It works.",)),
        replace(instance, instance_id="no-diff", patch="nothing"),
        replace(instance, instance_id="binary", test_patch=BINARY),
    ]
    write_instances(rows, [*broken, instance])
    loaded = SweBench(str(rows)).load()
    assert [task.task_id for task in loaded.tasks] == ["owner__tiny-1"]
    for number, text in enumerate(
        (
            "field repo: .* has no clone or bundle of owner/huge",
            "field base_commit: .* has no commit 0123456789; fetch it first",
            "field FAIL_TO_PASS.0: pytest knows no test by the name 'It works.'",
            "field patch: no unified diff",
            "field test_patch: the diff changes a binary file",
        )
    ):
        pattern = rf"^{rows}, line {number + 1}, {text}"
        assert any(re.match(pattern, problem) for problem in loaded.problems), text
    with pytest.warns(TaskWarning, match="5 of 6 tasks were left out"):
        env = gym.make("pivot/Coding-v0", tasks=f"swebench:{rows}")
    assert env.unwrapped.task_ids == ("owner__tiny-1",)  # type: ignore[attr-defined]


def test_the_official_file_needs_its_repository(tmp_path: Path) -> None:
    path = shutil.copy(OFFICIAL, tmp_path / "rows.json")
    (problem,) = SweBench(str(path)).load().problems
    assert "entry 1, field repo:" in problem
    assert "git clone --mirror URL" in problem


def test_tests_are_found_by_any_runners_names() -> None:
    files = ("tests/widgets/tests.py",)
    expected = "tests/widgets/tests.py::WidgetTest::test_render"
    for name in ("test_render (widgets.tests.WidgetTest)", expected):
        assert pytest_name(name, files) == expected
    newer = "test_render (widgets.tests.WidgetTest.test_render)"
    assert pytest_name(newer, files) == expected
    assert pytest_name("test_render (other.tests.WidgetTest)", files) is None


def test_predictions_are_refused_by_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    good = Prediction("a", "m", "").as_line()
    for text, reason in (
        (f"{good}\n{good}", "line 2: 'a' is predicted twice"),
        (f'{good}\n{{"instance_id": "b", "model_patch": ""}}', "line 2, field model_name_or_path"),
        ("[1]", "entry 1: Input should be"),
        ("{", "line 1: no JSON"),
    ):
        path.write_text(text)
        with pytest.raises(TaskError, match=reason):
            read_predictions(path)


def test_a_repository_that_vanishes_is_named(rows: Path, clone: Path) -> None:
    source = SweBench(str(rows))
    (task,) = source.load().tasks
    shutil.rmtree(clone)
    with pytest.raises(SourceError, match="has no clone or bundle of owner/tiny"):
        source.workspace(task)
