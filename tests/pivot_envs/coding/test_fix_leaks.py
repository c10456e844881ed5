"""The box, as an agent sees it, shows no trace of the solution."""

import json
import os
import py_compile
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from pivot_envs.coding.diff import added_lines
from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.tasks.instance import Instance, write_instances
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import SandboxUnavailableError, SourceError

SCANNER = Path(__file__).parent / "programs" / "leaks.py"
SEEN = ("/workspace", "/tmp", "/run", "/home", "/root", "/etc")
"""Where a task could leave something; the machine's own folders are searched by the slow tests."""
SHORTEST = 12
LATER = ("stashed-away-work", "the-annotated-release", "the-telling-note")


def telling_lines(task: CodingTask, workspace: Workspace) -> list[str]:
    """Return the lines that solution and hidden tests add, as far as they stand nowhere before."""
    added = added_lines(workspace.solution_diff(task)) | added_lines(task.test_patch)
    start = workspace.start_state(task)
    known = b"\n".join(
        start.blobs[entry.content]
        for entry in start.files
        if entry.kind == "file" and not entry.path.startswith(".git/")
    )
    return sorted(line for line in added if len(line) >= SHORTEST and line.encode() not in known)


def scan(env: CodingEnv, lines: Sequence[str], roots: Sequence[str]) -> dict[str, Any]:
    """Run the scanner in the box as the agent's own command."""
    # Lines of Python that anyone might write stand in other packages, too.
    skipped = [] if "/" in roots else [sys.prefix, sys.base_prefix]
    orders = {
        "lines": lines,
        "packages": sorted(env.task.packages()),
        "roots": roots,
        "skipped": skipped,
    }
    env._sandbox.write_file("orders.json", json.dumps(orders).encode())
    env._sandbox.write_file("scanner.py", SCANNER.read_bytes())
    command = "python -I /workspace/scanner.py /workspace/orders.json > /workspace/found.json"
    result = env._sandbox.run(command, timeout_s=1500)
    assert result.exit_code == 0, result.output
    # What is found may be more than a command's output keeps.
    found: dict[str, Any] = json.loads(env._sandbox.read_file("found.json"))
    return found


def make_env(**kwargs: Any) -> CodingEnv:
    made = gym.make("pivot/Coding-v0", **kwargs).unwrapped
    assert isinstance(made, CodingEnv)
    return made


@pytest.fixture
def shipped_env() -> Iterator[CodingEnv]:
    env = make_env()
    try:
        env.reset(seed=0)
    except (SandboxUnavailableError, SourceError) as error:
        pytest.skip(str(error))
    yield env
    env.close()


def sample(env: CodingEnv, count: int) -> list[str]:
    """Return ids of tasks of every package, spread over the file."""
    by_package: dict[str, list[str]] = {}
    for task_id in env.task_ids:
        by_package.setdefault(env._tasks[task_id].title(), []).append(task_id)
    return [each for ids in by_package.values() for each in ids[:: max(1, len(ids) // count)]]


@pytest.mark.timeout(600)
def test_no_shipped_task_shows_its_fix(shipped_env: CodingEnv) -> None:
    looked_at = 0
    for task_id in sample(shipped_env, 3):
        shipped_env.reset(options={"task_id": task_id})
        lines = telling_lines(shipped_env.task, shipped_env._workspace())
        found = scan(shipped_env, lines, SEEN)
        assert (found["found"], found["copies"]) == ([], []), task_id
        looked_at += bool(lines)
    assert looked_at >= 3


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_nothing_on_the_machine_shows_a_shipped_fix(shipped_env: CodingEnv) -> None:
    lines: set[str] = set()
    for task_id in sample(shipped_env, 40):
        task = shipped_env._tasks[task_id]
        lines |= set(telling_lines(task, shipped_env._tasks.workspace(task)))
    found = scan(shipped_env, sorted(lines), ["/"])
    assert found["looked_at"] > 1000
    by_file: dict[str, list[str]] = {}
    for name, line in found["found"]:
        by_file.setdefault(name, []).append(line)
    # A short line or two stand in unrelated code; a copy of the package has many.
    leaks = {name for name, held in by_file.items() if len(held) > 4 or max(map(len, held)) > 60}
    assert leaks == set()


def make_rows(clone: Path, git: Callable[..., str]) -> Path:
    """Write a row about the clone's next commit."""
    row = Instance(
        instance_id="owner__tiny-1",
        repo="owner/tiny",
        base_commit=git("rev-parse", "base"),
        problem_statement="one() is wrong",
        patch=git("diff", "base", "trunk") + "\n",
        test_patch=(
            "diff --git a/tests/test_tiny.py b/tests/test_tiny.py\n"
            "--- a/tests/test_tiny.py\n+++ b/tests/test_tiny.py\n"
            "@@ -4,2 +4,2 @@\n def test_it():\n-    one()\n+    assert one() == 1, 'hidden'\n"
        ),
        fail_to_pass=("tests/test_tiny.py::test_it",),
        pass_to_pass=(),
    )
    path = clone.parents[1] / "rows.jsonl"
    write_instances(path, [row])
    return path


@pytest.mark.parametrize("sandbox", ["embedded", pytest.param("docker", marks=pytest.mark.docker)])
@pytest.mark.timeout(600)
def test_a_repository_shows_neither_fix_nor_later_history(
    sandbox: str, clone: Path, git_at: Callable[[Path], Callable[..., str]], request: Any
) -> None:
    image = request.getfixturevalue("docker_image") if sandbox == "docker" else None
    rows = make_rows(clone, git_at(clone))
    env = make_env(tasks=f"swebench:{rows}", sandbox=sandbox, image=image)
    try:
        env.reset(seed=0)
        lines = [*telling_lines(env.task, env._workspace()), *LATER]
        assert "assert one() == 1, 'hidden'" in lines
        found = scan(env, lines, ["/"] if sandbox == "docker" else SEEN)
        # The scanner does look into the repository: what was there before, it finds.
        before = scan(env, ["def test_it():"], ["/workspace"])
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    finally:
        env.close()
    assert (found["found"], found["copies"]) == ([], [])
    places = {name for name, _ in before["found"]}
    assert places == {"/workspace/tests/test_tiny.py", "/workspace/.git (objects)"}


def test_the_scanner_finds_what_is_hidden(
    tmp_path: Path, git_at: Callable[[Path], Callable[..., str]]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "plain.txt").write_text("x\n    the telling line\n")
    source = tmp_path / "module.py"
    source.write_text("x = 'the telling line'\n")
    py_compile.compile(str(source), str(place / "module.pyc"))
    with zipfile.ZipFile(place / "a.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("a/b.py", "# the telling line\n")
    git = git_at(place)
    git("init", "-q")
    name = git("hash-object", "-w", "--stdin", stdin="the telling line")
    (tmp_path / "scanner.py").write_bytes(SCANNER.read_bytes())
    orders = {
        "lines": ["the telling line"],
        "packages": [],
        "roots": [str(place)],
        "skipped": [],
    }
    (tmp_path / "orders.json").write_text(json.dumps(orders))
    command = [sys.executable, "-I", str(tmp_path / "scanner.py"), str(tmp_path / "orders.json")]
    run = subprocess.run(command, capture_output=True, check=True, env={"PATH": os.environ["PATH"]})
    found = {name for name, _ in json.loads(run.stdout)["found"]}
    assert found == {
        f"{place}/plain.txt",
        f"{place}/module.pyc",
        f"{place}/a.whl!a/b.py",
        f"{place}/.git/objects/{name[:2]}/{name[2:]}",
        f"{place}/.git (objects)",
    }
