"""Build, validate and show task files: ``python -m pivot_envs.coding --help``."""

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tyro
from packaging.requirements import InvalidRequirement, Requirement
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pivot_envs.coding.commands import evaluate, make_swebench
from pivot_envs.coding.source import fetch_source
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.task_file import read_tasks, write_tasks
from pivot_envs.coding.tasks.builder import BuildConfig, build_tasks
from pivot_envs.coding.tasks.builder import Progress as ReportProgress
from pivot_envs.coding.tasks.splits import assign_splits
from pivot_envs.coding.tasks.validation import validate_tasks
from pivot_envs.errors import PivotError, TaskError

_OUT = Console()
_ERR = Console(stderr=True)


def build(
    packages: tyro.conf.Positional[tuple[str, ...]],
    /,
    out: Path,
    config: tyro.conf.OmitArgPrefixes[BuildConfig] = BuildConfig(),  # noqa: B008
) -> None:
    """Build a task file from source releases.

    The file is written after every package, so that an error later on loses nothing.

    Args:
        packages: Releases such as more-itertools==10.7.0; without a version, the newest.
        out: Task file to write; .gz and .zst are compressed.
        config: What to build.
    """
    if not packages:
        raise TaskError("name at least one package, such as more-itertools==10.7.0")
    table = Table("package", "functions", "tasks", "dropped", "seconds")
    tasks: list[CodingTask] = []
    for name, version in [_requirement(package) for package in packages]:
        source = fetch_source(name, version, cache_dir=_cache_dir())
        title = f"{source.name} {source.version}"
        with _progress_bar(title) as progress:
            report = build_tasks(source, config, progress=progress)
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(report.dropped.items()))
        functions = f"{report.functions - report.skipped_functions} of {report.functions}"
        table.add_row(title, functions, f"{len(report.tasks)}", dropped, f"{report.wall_s:.0f}")
        tasks += report.tasks
        write_tasks(out, assign_splits(tasks, seed=config.seed))
    _OUT.print(table)
    if not tasks:
        raise TaskError(f"no mutation made a task; {out} is empty")
    _OUT.print(f"{out}: {_split_counts(read_tasks(out))}", markup=False, soft_wrap=True)


def validate(file: tyro.conf.Positional[Path], /, workers: int = 2) -> None:
    """Check that every task of a file is solved by its oracle and not by doing nothing.

    Args:
        file: Task file.
        workers: Sandboxes at work at the same time.
    """
    tasks = read_tasks(file)
    with _progress_bar(file.name) as progress:
        validations = validate_tasks(
            tasks, workers=workers, cache_dir=_cache_dir(), progress=progress
        )
    table = Table("package", "tasks", "oracle", "no-op")
    by_package = Counter(task.title() for task in tasks)
    for package, count in by_package.items():
        rewards = [
            (validation.oracle, validation.no_op)
            for task, validation in zip(tasks, validations, strict=True)
            if task.title() == package
        ]
        oracle, no_op = (sum(column) / count for column in zip(*rewards, strict=True))
        table.add_row(package, str(count), f"{oracle:.4f}", f"{no_op:.4f}")
    _OUT.print(table)
    invalid = [validation.task_id for validation in validations if not validation.is_valid]
    if invalid:
        raise TaskError(f"{len(invalid)} of {len(tasks)} tasks are not valid: {invalid[0]}, ...")


def show(file: tyro.conf.Positional[Path], /, task_id: str | None = None) -> None:
    """Show what is in a task file.

    Args:
        file: Task file.
        task_id: Task to show in full; all are listed by default.
    """
    tasks = {task.task_id: task for task in read_tasks(file)}
    if task_id is None:
        table = Table("task", "split", "operator", "mutation", "fail", "pass")
        for task in tasks.values():
            change = escape(f"{task.bug.mutation.original} → {task.bug.mutation.mutated}")
            counts = (str(len(task.fail_to_pass)), str(len(task.pass_to_pass)))
            table.add_row(task.task_id, task.split, task.bug.mutation.operator, change, *counts)
        _OUT.print(table)
        _OUT.print(_split_counts(tuple(tasks.values())))
    elif task_id in tasks:
        _OUT.print(tasks[task_id])
    else:
        raise TaskError(f"{file} has no task {task_id!r}; list them with: show {file}")


def main() -> int:
    """Run the command line and return the exit code."""
    # The finder reports unreachable pages as warnings; the error that follows says the same.
    logging.getLogger("unearth").setLevel(logging.ERROR)
    try:
        tyro.extras.subcommand_cli_from_dict(
            {
                "build": build,
                "validate": validate,
                "show": show,
                "make-swebench": make_swebench,
                "evaluate": evaluate,
            },
            prog="python -m pivot_envs.coding",
        )
    except KeyboardInterrupt:
        _ERR.print("interrupted")
        return 130
    except (PivotError, OSError) as error:
        _ERR.print(f"error: {' '.join(str(error).split())}", markup=False, soft_wrap=True)
        return 2
    return 0


def _requirement(text: str) -> tuple[str, str | None]:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise TaskError(f"{text!r} names no package; expected name==version") from error
    versions = [(clause.operator, clause.version) for clause in requirement.specifier]
    if not versions:
        return requirement.name, None
    if len(versions) > 1 or versions[0][0] != "==":
        raise TaskError(f"{text!r} names no single version; expected name==version")
    return requirement.name, versions[0][1]


def _cache_dir() -> str | None:
    return os.environ.get("PIVOTRL_CACHE")


def _split_counts(tasks: tuple[CodingTask, ...]) -> str:
    counts = Counter(task.split for task in tasks)
    named = ", ".join(f"{counts[split]} {split}" for split in ("train", "test", "unseen"))
    return f"{len(tasks)} tasks: {named}"


@contextmanager
def _progress_bar(title: str) -> Iterator[ReportProgress]:
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TextColumn("functions"))
    with Progress(*columns, TimeElapsedColumn(), console=_ERR, transient=True) as bars:
        bar = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


if __name__ == "__main__":
    sys.exit(main())
