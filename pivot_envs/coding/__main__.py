"""Build, validate and show coding tasks: ``python -m pivot_envs.coding --help``."""

import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pivot_envs.coding.commands import evaluate, make_swebench
from pivot_envs.coding.gold import Bug
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.task_file import LoadedTasks, write_tasks
from pivot_envs.coding.task_source import TaskSource, open_source
from pivot_envs.coding.tasks.builder import BuildConfig
from pivot_envs.coding.tasks.built import BuiltSource, MutationTasks, NamedProgress
from pivot_envs.coding.tasks.report import ValidationReport
from pivot_envs.coding.tasks.validation import validate_tasks
from pivot_envs.errors import PivotError, TaskError
from pivot_envs.files import replace_file

_OUT = Console()
_ERR = Console(stderr=True)


def build(
    specs: tyro.conf.Positional[tuple[str, ...]],
    /,
    out: Path,
    config: tyro.conf.OmitArgPrefixes[BuildConfig] = BuildConfig(),  # noqa: B008
) -> None:
    """Build a task file from source releases.

    Args:
        specs: Releases to inject bugs into, such as more-itertools==10.7.0 (without a version, the
            newest), or other sources, such as releases:sqlparse==0.5.0..0.5.1.
        out: Task file to write; .gz and .zst are compressed.
        config: What mutations to build.
    """
    if not specs:
        raise TaskError("name at least one package, such as more-itertools==10.7.0")
    table = Table("source", "tasks", "tried in vain")
    tasks: dict[str, CodingTask] = {}
    for spec in specs:
        source = _open(spec, config)
        loaded = _load(spec, source)
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(loaded.dropped.items()))
        table.add_row(spec, f"{len(loaded.tasks)}", dropped)
        tasks |= {task.task_id: task for task in loaded.tasks}
        # After every source, so that an error later on loses nothing.
        write_tasks(out, tasks.values())
    _OUT.print(table)
    if not tasks:
        raise TaskError(f"nothing made a task; {out} is empty")
    _OUT.print(f"{out}: {_split_counts(tuple(tasks.values()))}", markup=False, soft_wrap=True)


def validate(
    specs: tyro.conf.Positional[tuple[str, ...]],
    /,
    workers: int = 2,
    out: Path | None = None,
    report: Path | None = None,
) -> None:
    """Check three times that each task is solved by its solution and not by doing nothing.

    What was built or checked before comes from the cache. Without --out, a task that is dropped is
    an error.

    Args:
        specs: Task files or folders, or other sources, such as mutations:sqlparse==0.5.3.
        workers: Sandboxes at work at the same time.
        out: Task file to write the valid tasks to, without their flaky tests.
        report: JSON file to write what was dropped to, and why.
    """
    if not specs:
        raise TaskError("name a task file or another source, such as mutations:sqlparse==0.5.3")
    reports = []
    for spec in specs:
        source = open_source(spec)
        loaded = _load(spec, source)
        with _progress_bar() as advance:
            validations = validate_tasks(
                source,
                loaded.tasks,
                workers=workers,
                progress=lambda done, total: advance("validation", done, total),
            )
        reports.append(ValidationReport.of(loaded, validations))
    whole = ValidationReport.joined(reports)
    _show_report(whole)
    if out is not None:
        write_tasks(out, whole.valid)
    if report is not None:
        replace_file(report, [whole.as_json().encode()])
    if not whole.valid:
        raise TaskError("no task is valid")
    if out is None and whole.dropped:
        raise TaskError(
            f"{len(whole.dropped)} tasks are not valid: {whole.dropped[0].task_id}, ..."
        )


def show(spec: tyro.conf.Positional[str], /, task_id: str | None = None) -> None:
    """Show what is in a task file or another source.

    Args:
        spec: Task file or folder, or another source.
        task_id: Task to show in full; all are listed by default.
    """
    tasks = {task.task_id: task for task in _load(spec, open_source(spec)).tasks}
    if task_id is None:
        table = Table("task", "split", "change", "files", "lines", "fail", "pass")
        for task in tasks.values():
            size = task.difficulty
            sizes = ("", "") if size is None else (str(size.files), str(size.lines))
            counts = (str(len(task.fail_to_pass)), str(len(task.pass_to_pass)))
            table.add_row(task.task_id, task.split, escape(_change(task)), *sizes, *counts)
        _OUT.print(table)
        _OUT.print(_split_counts(tuple(tasks.values())))
    elif task_id in tasks:
        _OUT.print(tasks[task_id])
    else:
        raise TaskError(f"{spec} has no task {task_id!r}; list them with: show {spec}")


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
        _ERR.print("interrupted; what was finished is in the cache")
        return 130
    except (PivotError, OSError) as error:
        _ERR.print(f"error: {' '.join(str(error).split())}", markup=False, soft_wrap=True)
        return 2
    return 0


def _open(spec: str, config: BuildConfig) -> TaskSource:
    """Open a source; a plain requirement is one of mutations."""
    is_requirement = not any(sign in spec for sign in ":/") and not Path(spec).is_file()
    if is_requirement:
        return MutationTasks(spec, config)
    return open_source(spec)


def _load(spec: str, source: TaskSource) -> LoadedTasks:
    if isinstance(source, BuiltSource):
        with _progress_bar() as advance:
            loaded = source.build(advance)
    else:
        loaded = source.load()
    if not loaded.tasks:
        raise TaskError("; ".join(loaded.problems) or f"{spec} gives no task")
    for problem in loaded.problems:
        _ERR.print(f"left out: {problem}", markup=False, soft_wrap=True)
    return loaded


def _show_report(report: ValidationReport) -> None:
    table = Table("package", "tasks", "valid", "oracle", "no-op", "flaky tests")
    for row in report.rows():
        table.add_row(*row)
    _OUT.print(table)
    for validation in report.dropped:
        _OUT.print(
            f"dropped: {validation.task_id}: {validation.reason}", markup=False, soft_wrap=True
        )
    for task_id, test in report.flaky:
        _OUT.print(f"flaky: {task_id}: {test}", markup=False, soft_wrap=True)
    _OUT.print(f"{len(report.valid)} valid tasks of {report.total}")


def _change(task: CodingTask) -> str:
    if not isinstance(task.gold, Bug):
        return "" if task.gold is None else "patch"
    return "; ".join(
        f"{each.operator}: {each.original} → {each.mutated}" for each in task.gold.mutations
    )


def _split_counts(tasks: Sequence[CodingTask]) -> str:
    counts = Counter(task.split for task in tasks)
    named = ", ".join(f"{counts[split]} {split}" for split in ("train", "test", "unseen"))
    return f"{len(tasks)} tasks: {named}"


@contextmanager
def _progress_bar() -> Iterator[NamedProgress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=_ERR, transient=True) as bars:
        bar = bars.add_task("", total=None)

        def advance(title: str, done: int, total: int) -> None:
            bars.update(bar, description=title, completed=done, total=total)

        yield advance


if __name__ == "__main__":
    sys.exit(main())
