"""Validation: the known solution must solve a task, doing nothing must not, and every time."""

import importlib.metadata
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from pivot_envs.coding.grading import run_graded
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.task_source import TaskSource
from pivot_envs.coding.tasks.cache import BuildCache, content_key
from pivot_envs.coding.tasks.workers import Progress, make_build_sandbox, open_sandboxes, run_all
from pivot_envs.coding.taskset import workspace_of
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import PivotError, SandboxError
from pivot_envs.sandbox.base import Sandbox, SandboxState, TestReport

REPEATS = 3
TIMEOUT_S = 30.0
"""Seconds for the named tests of a task that says nothing else, as in ``CodingEnv``."""
_RULES = 1
"""Grows when the same task can get another verdict."""
_NETWORK = re.compile(
    r"gaierror|Network is unreachable|Name or service not known|Temporary failure in name"
    r"|ConnectionRefusedError|getaddrinfo failed|Operation not permitted.*socket"
)


@dataclass(frozen=True, slots=True)
class Validation:
    """What became of a task."""

    task_id: str
    oracle: float | None
    """Share of the repeats in which the known solution got reward 1; None if none was run."""
    no_op: float | None
    """Share of the repeats in which doing nothing got reward 1; None if none was run."""
    flaky: tuple[str, ...] = ()
    """Named tests whose outcomes differed between repeats; they are left out of the task."""
    reason: str | None = None
    """Why the task is dropped, None if it is valid."""

    @property
    def is_valid(self) -> bool:
        """Whether the task, without its flaky tests, can be used."""
        return self.reason is None


def validate_tasks(
    source: TaskSource,
    tasks: Sequence[CodingTask],
    *,
    workers: int = 2,
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
    make_sandbox: Callable[[], Sandbox] = make_build_sandbox,
) -> tuple[Validation, ...]:
    """Grade every task as the environment does, with its known solution and without.

    The boxes have no network. A verdict is kept in the cache as soon as it is there, so that an
    interrupted validation goes on where it was.

    Args:
        source: Opens the tasks' workspaces.
        tasks: Tasks of that source.
        workers: Sandboxes at work at the same time.
        cache_dir: Where verdicts are kept; a folder of the user's cache by default.
        progress: Called with the number of finished tasks and of all tasks.
        make_sandbox: Makes a sandbox that has not been started; embedded ones by default.

    Returns:
        One validation per task, in the order given.

    Raises:
        InfraError: No sandbox works on this machine.
        StoreError: The cache cannot be written.
    """
    cache = BuildCache(cache_dir)
    keys = [content_key("validation", _RULES, REPEATS, task.hash()) for task in tasks]
    found = {index: _kept(cache.get("validations", key)) for index, key in enumerate(keys)}
    left = [index for index, validation in found.items() if validation is None]
    if left:
        with open_sandboxes(min(workers, len(left)), make_sandbox) as sandboxes:
            work = partial(_validate_next, sandboxes, source, tasks, keys, cache, found, left)
            run_all(work, len(left), workers, progress, done_before=len(tasks) - len(left))
    return tuple(validation for validation in found.values() if validation is not None)


def without_flaky(task: CodingTask, validation: Validation) -> CodingTask:
    """Return a valid task without its flaky tests."""
    if not validation.flaky:
        return task
    flaky = set(validation.flaky)
    return replace(
        task,
        fail_to_pass=tuple(test for test in task.fail_to_pass if test not in flaky),
        pass_to_pass=tuple(test for test in task.pass_to_pass if test not in flaky),
    )


def _kept(value: Any) -> Validation | None:
    try:
        return Validation(**{**value, "flaky": tuple(value["flaky"])})
    except (TypeError, KeyError):
        return None


def _validate_next(
    sandboxes: "SimpleQueue[Sandbox]",
    source: TaskSource,
    tasks: Sequence[CodingTask],
    keys: Sequence[str],
    cache: BuildCache,
    found: dict[int, Validation | None],
    left: Sequence[int],
    number: int,
) -> None:
    index = left[number]
    task = tasks[index]
    sandbox = sandboxes.get()
    try:
        found[index] = validation = _validate(sandbox, source, task)
        cache.put("validations", keys[index], asdict(validation))
    except SandboxError as error:
        # Not kept: the next run may do better.
        found[index] = Validation(task.task_id, None, None, reason=f"the box failed: {error}")
        sandbox.restart()
    finally:
        sandboxes.put(sandbox)


def _validate(sandbox: Sandbox, source: TaskSource, task: CodingTask) -> Validation:
    missing = _missing(task.environment.requirements)
    if missing is not None:
        return Validation(task.task_id, None, None, reason=missing)
    try:
        workspace = workspace_of(source, task)
        start = workspace.start_state(task)
        solved = None if task.gold is None else workspace.solved_state(task)
        no_op = _repeat(sandbox, start, task, workspace)
        oracle = [] if solved is None else _repeat(sandbox, solved, task, workspace)
    except SandboxError:
        raise
    except PivotError as error:
        return Validation(task.task_id, None, None, reason=str(error))
    flaky = tuple(
        test for test in task.named_tests() if _differs(no_op, test) or _differs(oracle, test)
    )
    steady = without_flaky(task, Validation(task.task_id, None, None, flaky))
    reason = _flaw(steady, no_op, oracle)
    shares = [_share(reports, steady) for reports in (oracle, no_op)]
    return Validation(task.task_id, shares[0], shares[1], flaky, reason)


def _repeat(
    sandbox: Sandbox, state: SandboxState, task: CodingTask, workspace: Workspace
) -> list[TestReport]:
    # One line for each failure tells what to blame.
    return [
        run_graded(sandbox, state, task, workspace, TIMEOUT_S, "--tb=line") for _ in range(REPEATS)
    ]


def _differs(reports: Sequence[TestReport], test: str) -> bool:
    return len({report.outcomes.get(test) == "passed" for report in reports}) > 1


def _share(reports: Sequence[TestReport], task: CodingTask) -> float | None:
    solved = [
        all(report.outcomes.get(test) == "passed" for test in task.named_tests())
        for report in reports
    ]
    return sum(solved) / len(solved) if solved else None


def _flaw(
    task: CodingTask, no_op: Sequence[TestReport], oracle: Sequence[TestReport]
) -> str | None:
    """Return why a task without flaky tests is dropped, or None."""
    if not task.fail_to_pass:
        return "all FAIL_TO_PASS tests are flaky"
    if oracle:
        for test in task.named_tests():
            if oracle[0].outcomes.get(test) != "passed":
                return f"{test} does not pass with the solution: {_cause(oracle[0], test)}"
    for test in task.fail_to_pass:
        if no_op[0].outcomes.get(test) == "passed":
            return f"{test} of FAIL_TO_PASS passes without the solution"
    for test in task.pass_to_pass:
        if no_op[0].outcomes.get(test) != "passed":
            return f"{test} of PASS_TO_PASS fails at the start: {_cause(no_op[0], test)}"
    return None


def _cause(report: TestReport, test: str) -> str:
    if report.timed_out:
        return "the tests did not end in time"
    if _NETWORK.search(report.output):
        return "it needs the network, which boxes do not have"
    if "MemoryError" in report.output:
        return "it needs more memory than a box has"
    outcome = report.outcomes.get(test)
    return "there is no such test" if outcome is None else f"it is reported as {outcome}"


def _missing(requirements: Sequence[str]) -> str | None:
    """Return what is not installed, as a sentence, or None."""
    for text in requirements:
        try:
            requirement = Requirement(text)
            version = importlib.metadata.version(requirement.name)
        except InvalidRequirement:
            return f"environment.requirements: {text!r} is no requirement"
        except importlib.metadata.PackageNotFoundError:
            return f"its tests need {text}, which is not installed; pip install {text!r}"
        if not requirement.specifier.contains(version, prereleases=True):
            return f"its tests need {text}, but {version} is installed"
    return None
