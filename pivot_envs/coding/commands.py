"""Commands about files in SWE-bench's format: making some, and evaluating predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import tyro

from pivot_envs.coding.patch_grading import grade_patch
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.task_source import TaskSource, open_source
from pivot_envs.coding.tasks.instance import write_instances
from pivot_envs.coding.tasks.predictions import read_predictions
from pivot_envs.coding.tasks.release_history import write_history
from pivot_envs.coding.tasks.release_instances import make_instances
from pivot_envs.coding.tasks.swebench import REPOSITORIES
from pivot_envs.errors import TaskError
from pivot_envs.sandbox.base import Sandbox
from pivot_envs.sandbox.choice import SandboxChoice

TWELVE = (
    "sqlparse==0.4.2,0.4.3,0.4.4,0.5.0,0.5.1,0.5.2",
    "parse==1.20.0,1.20.1,1.20.2",
    "pathspec==0.11.0,0.11.1,0.11.2,0.12.0,0.12.1",
    "cachetools==5.3.3,5.4.0,5.5.0",
    "semver==3.0.1,3.0.2",
)
"""Releases that give twelve rows, with what they repaired in their changelogs."""


def make_swebench(
    releases: tyro.conf.Positional[tuple[str, ...]] = TWELVE,
    /,
    *,
    out: Path,
    sandbox: Literal["embedded", "docker"] = "embedded",
) -> None:
    """Make repositories of releases, and a file of SWE-bench rows about what each repaired.

    Args:
        releases: Releases that follow each other, such as sqlparse==0.5.0,0.5.1,0.5.2.
        out: Folder for instances.jsonl and the repositories.
        sandbox: Kind of box in which the tests run.
    """
    # Importing rich draws random numbers, and importing this module does nothing.
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import track
    from rich.table import Table

    table = Table("from", "to", "fail", "pass", "dropped because")
    instances = []
    with SandboxChoice(sandbox).make() as box:
        for name, versions in map(_versions, releases):
            repositories = out / REPOSITORIES
            history = write_history(name, versions, repositories)
            path = repositories / f"{history.repo.replace('/', '__')}.git"
            pairs = make_instances(history, path, box)
            for pair in track(pairs, name, len(versions) - 1, console=Console(stderr=True)):
                row = pair.instance
                counts = (
                    [str(len(row.fail_to_pass)), str(len(row.pass_to_pass))] if row else ["", ""]
                )
                table.add_row(f"{name} {pair.old}", pair.new, *counts, escape(pair.reason))
                instances += [row] if row else []
    write_instances(out / "instances.jsonl", instances)
    Console().print(table)
    Console().print(f"{len(instances)} instances in {out / 'instances.jsonl'}", soft_wrap=True)


def evaluate(
    spec: tyro.conf.Positional[str],
    /,
    predictions: tuple[str, ...] = ("gold", "empty"),
    sandbox: Literal["embedded", "docker"] = "embedded",
    image: str | None = None,
    timeout_s: float = 300.0,
) -> None:
    """Grade predictions on every task of a source, such as swebench:instances.jsonl.

    Args:
        spec: Task file, folder or source.
        predictions: Files of SWE-bench predictions; gold are the known solutions, empty is none.
        sandbox: Kind of box in which the tests run.
        image: Docker image; by default the one that a task names, and else the default one.
        timeout_s: Seconds for a task's tests.
    """
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    out, err = Console(), Console(stderr=True)
    source = open_source(spec)
    loaded = source.load()
    for problem in loaded.problems:
        err.print(f"left out: {problem}", markup=False, soft_wrap=True)
    if not loaded.tasks:
        raise TaskError(f"{spec} gives no task that can be evaluated")
    patches = [_patches(name, source, loaded.tasks) for name in predictions]
    choice = SandboxChoice(sandbox, image)
    table = Table("task", "tests", *predictions)
    resolved = dict.fromkeys(predictions, 0)
    for task in track(loaded.tasks, "tasks", console=err, transient=True):
        cells = []
        with choice.with_image(task.environment.image).make() as box:
            for name, by_task in zip(predictions, patches, strict=True):
                cell, is_resolved = _grade(box, source, task, by_task, timeout_s)
                cells.append(cell)
                resolved[name] += is_resolved
        table.add_row(task.task_id, str(len(task.named_tests())), *cells)
    out.print(table)
    for name, count in resolved.items():
        out.print(f"{name}: {count} of {len(loaded.tasks)} resolved", soft_wrap=True)


def _grade(
    box: Sandbox,
    source: TaskSource,
    task: CodingTask,
    patches: Mapping[str, str],
    timeout_s: float,
) -> tuple[str, bool]:
    if task.task_id not in patches:
        return "not predicted", False
    workspace = source.workspace(task)
    verdict = grade_patch(box, task, workspace, patches[task.task_id], timeout_s)
    if verdict.is_solved:
        return "resolved", True
    return f"{len(verdict.failing)} fail", False


def _patches(name: str, source: TaskSource, tasks: Sequence[CodingTask]) -> dict[str, str]:
    if name == "empty":
        return {task.task_id: "" for task in tasks}
    if name == "gold":
        return {task.task_id: source.workspace(task).solution_diff(task) for task in tasks}
    return {each.instance_id: each.model_patch for each in read_predictions(name)}


def _versions(text: str) -> tuple[str, list[str]]:
    name, mark, versions = text.partition("==")
    found = [version for version in versions.split(",") if version]
    if not mark or len(found) < 2:
        raise TaskError(f"{text!r} names no releases; expected name==version,version,...")
    return name, found
