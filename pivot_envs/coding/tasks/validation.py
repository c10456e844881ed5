"""Validation: for every task the oracle must solve it, and doing nothing must not."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from pivot_envs.coding.gold import apply_mutation, revert_mutation
from pivot_envs.coding.source import fetch_source
from pivot_envs.coding.task import CodingTask, Release
from pivot_envs.coding.tasks.bench import MutantBench
from pivot_envs.coding.tasks.builder import (
    Progress,
    make_build_sandbox,
    open_benches,
    run_all,
)
from pivot_envs.coding.workspace import Workspace
from pivot_envs.sandbox.base import Sandbox

_ORACLE_TIMEOUT_S = 60.0
_NO_OP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Validation:
    """What a task is worth to two policies that need no skill."""

    task_id: str
    oracle: float
    """Reward of the inverse patch, 0 or 1."""
    no_op: float
    """Reward of doing nothing, 0 or 1."""

    @property
    def is_valid(self) -> bool:
        """Whether the oracle solves the task and doing nothing does not."""
        return self.oracle == 1.0 and self.no_op == 0.0


def validate_tasks(
    tasks: Sequence[CodingTask],
    *,
    workers: int = 2,
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
    make_sandbox: Callable[[], Sandbox] = make_build_sandbox,
) -> tuple[Validation, ...]:
    """Run the named tests of every task with its bug and without it.

    The inverse patch must give back the release byte for byte. All tasks of a function then
    share one run of their tests, since their repaired files are the same.

    Returns:
        One validation per task, in the order given.

    Raises:
        SourceError: A release cannot be fetched, or is not the one that the tasks were made from.
        TaskError: A mutation does not fit its release.
        SandboxError: A sandbox failed.
    """
    releases: defaultdict[tuple[str, str, str], defaultdict[str, list[CodingTask]]]
    releases = defaultdict(lambda: defaultdict(list))
    for task in tasks:
        assert isinstance(task.origin, Release)
        origin = task.origin
        key = (origin.package, origin.version, origin.sha256)
        releases[key][task.bug.function].append(task)
    total = sum(map(len, releases.values()))
    found: dict[str, Validation] = {}
    done = 0
    for (package, version, sha256), functions in releases.items():
        source = fetch_source(package, version, sha256=sha256, cache_dir=cache_dir)
        advance = None if progress is None else partial(_advance, progress, done, total)
        with open_benches(Workspace.of(source), workers, make_sandbox) as benches:
            work = partial(_validate_next, benches, list(functions.values()), found)
            run_all(work, len(functions), workers, advance)
        done += len(functions)
    return tuple(found[task.task_id] for task in tasks)


def _advance(progress: Progress, done: int, total: int, finished: int, _: int) -> None:
    progress(done + finished, total)


def _validate_next(
    benches: "SimpleQueue[MutantBench]",
    groups: Sequence[Sequence[CodingTask]],
    found: dict[str, Validation],
    index: int,
) -> None:
    bench = benches.get()
    try:
        validations = _validate(bench, groups[index])
        found.update((validation.task_id, validation) for validation in validations)
    finally:
        benches.put(bench)


def _validate(bench: MutantBench, tasks: Sequence[CodingTask]) -> list[Validation]:
    bench.clean()
    named = {test: None for task in tasks for test in (*task.fail_to_pass, *task.pass_to_pass)}
    repaired = bench.run(None, tuple(named), timeout_s=_ORACLE_TIMEOUT_S).outcomes
    validations = []
    for task in tasks:
        mutation = task.bug.mutation
        text = bench.workspace.text(mutation.path)
        is_inverse = revert_mutation(apply_mutation(text, mutation), mutation) == text
        tests = (*task.fail_to_pass, *task.pass_to_pass)
        buggy = bench.run(mutation, tests, timeout_s=_NO_OP_TIMEOUT_S).outcomes
        oracle = is_inverse and all(repaired.get(test) == "passed" for test in tests)
        no_op = all(buggy.get(test) == "passed" for test in tests)
        validations.append(Validation(task.task_id, float(oracle), float(no_op)))
    return validations
