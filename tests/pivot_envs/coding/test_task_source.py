import shutil
from pathlib import Path

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.task import CodingTask, Foreign
from pivot_envs.coding.task_file import LoadedTasks, read_tasks, write_tasks
from pivot_envs.coding.task_source import open_source, open_workspace
from pivot_envs.coding.tasks.built import ReleasePairs
from pivot_envs.coding.taskset import TaskSet, TaskWarning
from pivot_envs.coding.workspace import Workspace, make_state
from pivot_envs.errors import TaskError

CODE = {"lib/__init__.py": b"def double(x):\n    return x\n"}
TEST = """\
--- /dev/null
+++ b/tests/test_lib.py
@@ -0,0 +1,5 @@
+from lib import double
+
+
+def test_double():
+    assert double(2) == 4
"""
REPAIR = '{"name": "edit", "arguments": {"path": "lib/__init__.py", "line": 2, "old": "x", "new": '


class Strangers:
    """A source that is no part of the project: one class."""

    def __init__(self, argument: str) -> None:
        self._count = int(argument)

    def load(self) -> LoadedTasks:
        origin = Foreign(f"{__name__}:Strangers:{self._count}")
        tasks = [
            CodingTask(
                task_id=f"stranger/{index}",
                issue="double does not double",
                origin=origin,
                fail_to_pass=("tests/test_lib.py::test_double",),
                pass_to_pass=(),
                test_patch=TEST,
            )
            for index in range(self._count)
        ]
        return LoadedTasks(tuple(tasks), ("stranger/9: it is not finished",))

    def workspace(self, task: CodingTask) -> Workspace:
        return Workspace("lib", "1", make_state(CODE, {}), ("lib",), ("tests",))


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> str:
    """A spec of the strangers' source, which can be imported as any module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return "test_task_source:Strangers:2"


def test_a_strangers_source_is_one_class_and_its_hidden_tests_decide(strangers: str) -> None:
    with pytest.warns(TaskWarning, match="1 of 3 tasks were left out: stranger/9: it is not fin"):
        env = CodingEnv(tasks=strangers)
    try:
        env.reset(options={"task_id": "stranger/1"})
        seen = env.step('{"name": "bash", "arguments": {"command": "find . -name *.py"}}')[0]
        assert "lib/__init__.py" in seen
        assert "test_lib" not in seen
        assert env.step('{"name": "submit", "arguments": {}}')[1] == 0.0
        env.reset(options={"task_id": "stranger/1"})
        env.step(REPAIR + '"x * 2"}}')
        assert env.step('{"name": "submit", "arguments": {}}')[1] == 1.0
    finally:
        env.close()


def test_a_strangers_task_in_a_file_says_which_source_opens_it(
    strangers: str, tmp_path: Path
) -> None:
    write_tasks(tmp_path / "tasks.jsonl", open_source(strangers).load().tasks[:1])
    (task,) = read_tasks(tmp_path / "tasks.jsonl")
    with pytest.raises(TaskError, match=r"pass tasks='.*:Strangers:2' instead of a task file"):
        open_workspace(task)


def test_a_folder_gives_the_tasks_of_its_files(tiny_tasks: Path, tmp_path: Path) -> None:
    tasks = read_tasks(tiny_tasks)
    write_tasks(tmp_path / "a.jsonl", tasks[:1])
    write_tasks(tmp_path / "b.jsonl.zst", tasks)
    (tmp_path / "c.jsonl").write_text('{"format":"pivot-coding-tasks","version":9}\n')
    (tmp_path / "notes.txt").write_text("no task")
    with pytest.warns(TaskWarning) as warned:
        kept = TaskSet(str(tmp_path))
    assert kept.ids == tuple(task.task_id for task in tasks)
    (text,) = [str(each.message) for each in warned]
    assert "is in another file, too" in text
    assert "c.jsonl, line 1, field version" in text


def test_a_changed_folder_is_read_again(tiny_tasks: Path, tmp_path: Path) -> None:
    tasks = read_tasks(tiny_tasks)
    write_tasks(tmp_path / "a.jsonl", tasks[:1])
    assert len(TaskSet(str(tmp_path))) == 1
    shutil.copy(tmp_path / "a.jsonl", tmp_path / "saved")
    write_tasks(tmp_path / "a.jsonl", tasks)
    assert len(TaskSet(str(tmp_path))) == 2


def test_one_wrong_task_does_not_hide_the_others(tiny_tasks: Path, tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(tiny_tasks.read_text() + "{}\n")
    with pytest.warns(TaskWarning, match=r"1 of 3 .*tasks\.jsonl, line 4, field task_id: Field"):
        assert len(TaskSet(str(path))) == 2


def test_a_long_spec_is_no_file_name() -> None:
    source = open_source("releases:" + ",".join(["tiny==1.0..1.1"] * 100))
    assert isinstance(source, ReleasePairs)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("nowhere.jsonl", "cannot read the task file nowhere.jsonl: No such file"),
        ("miracles:any==1", "'miracles:any==1' is no task source"),
        ("no_such_module:Class:1", "No module named 'no_such_module'"),
        ("json:Missing", "has no attribute 'Missing'"),
        ("test_task_source:Strangers:many", "invalid literal"),
    ],
)
def test_a_spec_that_names_no_source_is_refused(strangers: str, spec: str, reason: str) -> None:
    assert strangers
    with pytest.raises(TaskError, match=reason):
        TaskSet(spec)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="gives no task: it holds no"):
        TaskSet(str(tmp_path))
