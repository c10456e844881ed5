"""Measure the sandbox: a coding step, snapshots and restores, beside a cold pytest and a copy.

``python -m benchmarks.sandbox`` prints medians and minima of one run and can write them as JSON.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

import pivot_envs  # noqa: F401  registers the environments
from benchmarks.command_cost import measure_commands
from benchmarks.docker_commit import committed_container
from benchmarks.timing import Figure, measure
from benchmarks.trees import SIZES, measure_tree
from pivot_envs import ToolCall
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import PivotError
from pivot_envs.sandbox.choice import SandboxChoice
from pivot_envs.sandbox.docker import DEFAULT_IMAGE

FILES = 50
"""Files of the measured tree: the release, filled up with small ones."""
TASK_ID = "sqlparse-0.5.3/sql.Token.has_ancestor/d1e4a0c4"

SNAPSHOT, RESTORE = f"snapshot of an episode, {FILES} files", f"restore of it, {FILES} files"
COLD, WARM = "cold python -m pytest, the same tests", "run the failing tests"
COMMIT, RUN = f"docker commit, {FILES} files", f"run of the committed image, {FILES} files"


@dataclass(frozen=True)
class Arguments:
    """Measure a sandbox."""

    repetitions: int = 50
    """How often each operation is measured."""
    sandbox: Literal["embedded", "docker"] = "embedded"
    """Which kind of box; for docker, the same state is also saved by docker commit and run."""
    image: str = DEFAULT_IMAGE
    """Image of the Docker boxes."""
    out: Path | None = None
    """JSON file to write."""


def measure_all(repetitions: int, choice: SandboxChoice) -> list[Figure]:
    """Measure everything in one run, on one task of sqlparse."""
    tasks = TaskSet(task_ids=[TASK_ID])
    task, workspace = tasks[TASK_ID], tasks.workspace(tasks[TASK_ID])
    figures = [
        measure("start a box, run true, close it", lambda _: _start_a_box(choice), repetitions),
        *measure_commands(choice, repetitions, target_ms=0.5),
        *_episode(choice, task, workspace, repetitions),
    ]
    for files in SIZES:
        figures += measure_tree(choice, files, repetitions)
    if choice.image is not None:
        figures += _commit_and_run(choice.image, workspace, repetitions)
    return figures + _outside(workspace, task.fail_to_pass, repetitions)


def _episode(
    choice: SandboxChoice, task: CodingTask, workspace: Workspace, repetitions: int
) -> list[Figure]:
    """Measure what an agent does in an episode, and how one is saved and resumed."""
    env = gym.make(
        "pivot/Coding-v0",
        task_ids=[TASK_ID],
        max_turns=10**6,
        sandbox=choice.name,
        image=choice.image,
    )
    env.reset()
    missing = FILES - len(workspace.files)
    env.step(_bash(f"for i in $(seq {missing}); do echo $i > filler$i.txt; done"))
    inner: Any = env.unwrapped
    tests = ToolCall("bash", {}).as_text()
    figures = [
        measure("a step that runs true", lambda _: env.step(_bash("true")), repetitions),
        measure(
            "edit a file", lambda index: env.step(_edit(task.bug.mutation.path, index)), repetitions
        ),
        measure(
            "coding step: edit and run the failing tests",
            lambda index: (env.step(_edit(task.bug.mutation.path, index)), env.step(tests)),
            repetitions,
            target_ms=100.0,
        ),
        measure(WARM, lambda _: env.step(tests), repetitions),
    ]
    before = inner.snapshot()

    def edit(index: int) -> None:
        env.step(_edit(task.bug.mutation.path, index))

    figures += [
        measure(SNAPSHOT, lambda _: inner.snapshot(), repetitions, 5.0, before=edit),
        measure(
            RESTORE,
            lambda _: env.reset(options={"snapshot": before}),
            repetitions,
            10.0,
            before=edit,
        ),
    ]
    env.close()
    return figures


def _outside(workspace: Workspace, tests: tuple[str, ...], repetitions: int) -> list[Figure]:
    """Measure a cold pytest and a copy of the tree, both outside any sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        for path, content in workspace.files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(content)
        for index in range(FILES - len(workspace.files)):
            (tree / f"filler{index}.txt").write_text(f"{index}\n")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
        quiet = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}

        def cold(_: int) -> None:
            subprocess.run(command, cwd=tree, env=quiet, capture_output=True, check=False)

        def copy(index: int) -> None:
            shutil.copytree(tree, Path(folder) / f"copy{index}")

        return [
            measure(COLD, cold, repetitions),
            measure("plain copy of the tree", copy, repetitions),
        ]


def _commit_and_run(image: str, workspace: Workspace, repetitions: int) -> list[Figure]:
    """Measure how the engine itself saves and resumes the same tree."""
    files = dict(workspace.files)
    files |= {f"filler{i}.txt": b"%d\n" % i for i in range(FILES - len(files))}
    commits, runs = [], []
    with committed_container(image, files) as container:
        for index in track(range(repetitions + 1), "docker commit and run"):
            container.write("filler0.txt", b"%d\n" % index)
            began = time.perf_counter()
            saved = container.commit()
            committed = time.perf_counter()
            resumed = container.run(saved)
            runs.append(1e3 * (time.perf_counter() - committed))
            commits.append(1e3 * (committed - began))
            container.remove(container=resumed, image=saved)
    return [Figure.of(COMMIT, commits[1:]), Figure.of(RUN, runs[1:])]


def ratios(figures: Sequence[Figure]) -> dict[str, float]:
    """Return how many times longer the usual way takes than the box's, by median."""
    medians = {one.name: one.median_ms for one in figures}
    found = {"cold pytest / warm pytest in the box": medians[COLD] / medians[WARM]}
    if COMMIT in medians:
        ours = medians[SNAPSHOT] + medians[RESTORE]
        found["docker commit and run / snapshot and restore"] = (
            medians[COMMIT] + medians[RUN]
        ) / ours
    return found


def _start_a_box(choice: SandboxChoice) -> None:
    with choice.make() as box:
        box.run("true", timeout_s=10.0)


def _bash(command: str) -> str:
    return ToolCall("bash", {"command": command}).as_text()


def _edit(path: str, index: int) -> str:
    arguments = {"path": path, "start": 1, "end": 1, "text": f"# edit {index}"}
    return ToolCall("edit", arguments).as_text()


def main(arguments: Arguments) -> None:
    """Measure, print, and write.

    Raises:
        SystemExit: There is no such box here.
    """
    image = arguments.image if arguments.sandbox == "docker" else None
    try:
        figures = measure_all(arguments.repetitions, SandboxChoice(arguments.sandbox, image))
    except PivotError as error:
        raise SystemExit(f"error: {error}") from error
    table = Table("operation", "median, ms", "minimum, ms", "target, ms", "met")
    for one in figures:
        target = "" if one.target_ms is None else f"{one.target_ms:g}"
        met = "" if one.target_ms is None else ("yes" if one.median_ms <= one.target_ms else "no")
        table.add_row(one.name, f"{one.median_ms:.2f}", f"{one.minimum_ms:.2f}", target, met)
    console = Console()
    console.print(table)
    for name, ratio in ratios(figures).items():
        console.print(f"{name}: {ratio:.1f}")
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "sandbox": arguments.sandbox,
            "repetitions": arguments.repetitions,
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
            "figures": [
                {
                    "name": one.name,
                    "median_ms": round(one.median_ms, 3),
                    "minimum_ms": round(one.minimum_ms, 3),
                    "target_ms": one.target_ms,
                }
                for one in figures
            ],
            "ratios": {name: round(ratio, 2) for name, ratio in ratios(figures).items()},
        }
        arguments.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
