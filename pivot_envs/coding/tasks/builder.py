"""The builder: injects bugs into a release and keeps those that named tests find."""

import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

from pivot_envs.coding.gold import Mutation
from pivot_envs.coding.source import PackageSource
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.tasks.bench import MutantBench, benches_of
from pivot_envs.coding.tasks.combinations import combine_next, plan_combinations
from pivot_envs.coding.tasks.coverage import record_suite
from pivot_envs.coding.tasks.mutated_release import MutatedRelease
from pivot_envs.coding.tasks.mutations import SourceFunction, find_functions
from pivot_envs.coding.tasks.workers import (
    Progress,
    make_build_sandbox,
    open_sandboxes,
    run_all,
)
from pivot_envs.coding.workspace import Workspace
from pivot_envs.sandbox.base import Sandbox, TestReport

_TIMEOUT_S = 10.0
_MAX_TRIES_PER_TASK = 3


@dataclass(frozen=True, slots=True)
class BuildConfig:
    """How many tasks a build makes, and of what."""

    per_function: int = 16
    """Most tasks per function."""
    max_lines: int = 20
    """Longest function body considered, in lines without its docstring."""
    statements: bool = True
    """Whether statements and calls are mutated too, beside single words and signs."""
    combined: int = 0
    """Most tasks per package that combine the bugs of two or three others."""
    max_tests: int = 40
    """Most tests that a task names."""
    seed: int = 0
    """Seed of the choice of mutations."""
    workers: int = 2
    """Sandboxes at work at the same time."""
    time_budget_s: float | None = None
    """No function of a package is started later than this."""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """The tasks that a build gave, and what became of the other mutations."""

    tasks: tuple[CodingTask, ...]
    """All of them in split ``train``, in source order."""
    functions: int
    """Functions with stable tests and at least one mutation."""
    skipped_functions: int
    """Functions left out because the time was up."""
    dropped: Mapping[str, int]
    """Mutations tried in vain by reason: ``survived``, ``timeout``, ``crash``, ``import``,
    ``memory``, ``flaky``; ``unstable``: functions whose tests fail when run alone; ``combined``:
    combinations whose parts hide each other."""
    wall_s: float


@dataclass(frozen=True, slots=True)
class _Job:
    """One function to mutate, with everything that it takes."""

    release: MutatedRelease
    function: SourceFunction
    tests: tuple[str, ...]
    per_function: int
    seed: int


def build_tasks(
    source: PackageSource,
    config: BuildConfig | None = None,
    *,
    progress: Progress | None = None,
    make_sandbox: Callable[[], Sandbox] = make_build_sandbox,
) -> BuildReport:
    """Build repair tasks from a release.

    The same release and seed give the same tasks, whatever the number of workers, unless the
    time runs out or a test is flaky.

    Args:
        source: The release.
        config: What to build; the defaults if ``None``.
        progress: Called with the number of finished functions and of all functions.
        make_sandbox: Makes a sandbox that has not been started; embedded ones by default.

    Raises:
        SourceError: A file cannot be parsed, or the tests cannot run.
        InfraError: A sandbox failed, or none works on this machine.
    """
    started, config = time.monotonic(), config or BuildConfig()
    workspace = Workspace.of(source)
    with make_sandbox() as sandbox:
        record = record_suite(sandbox, workspace)
    release = MutatedRelease(source, workspace, record)
    jobs = _jobs(release, config)
    results: dict[int, tuple[list[CodingTask], Counter[str]]] = {}
    deadline = math.inf if config.time_budget_s is None else started + config.time_budget_s
    with open_sandboxes(config.workers, make_sandbox) as sandboxes:
        benches = benches_of(sandboxes, workspace)
        work = partial(_mutate_next, benches, jobs, results, deadline)
        run_all(work, len(jobs), config.workers, progress)
        singles = [task for _, (tasks, _) in sorted(results.items()) for task in tasks]
        plans = plan_combinations(singles, count=config.combined, seed=config.seed)
        combined: dict[int, CodingTask] = {}
        work = partial(combine_next, benches, release, plans, combined)
        run_all(work, len(plans), config.workers, progress)
    dropped = sum((reasons for _, reasons in results.values()), Counter[str]())
    dropped.update({"combined": len(plans) - len(combined)} if plans else {})
    return BuildReport(
        tasks=(*singles, *(task for _, task in sorted(combined.items()))),
        functions=len(jobs),
        skipped_functions=len(jobs) - len(results),
        dropped=dict(dropped),
        wall_s=time.monotonic() - started,
    )


def _jobs(release: MutatedRelease, config: BuildConfig) -> list[_Job]:
    jobs = []
    for path in release.workspace.package_paths():
        text = release.workspace.text(path)
        functions = find_functions(
            path, text, max_lines=config.max_lines, statements=config.statements
        )
        for function in functions:
            tests = release.record.covering_tests(function, limit=config.max_tests)
            if tests and function.mutations:
                jobs.append(_Job(release, function, tests, config.per_function, config.seed))
    return jobs


def _mutate_next(
    benches: "SimpleQueue[MutantBench]",
    jobs: Sequence[_Job],
    results: dict[int, tuple[list[CodingTask], Counter[str]]],
    deadline: float,
    index: int,
) -> None:
    if time.monotonic() < deadline:
        bench = benches.get()
        try:
            results[index] = _mutate(bench, jobs[index])
        finally:
            benches.put(bench)


def _mutate(bench: MutantBench, job: _Job) -> tuple[list[CodingTask], Counter[str]]:
    """Try mutations of one function until there are enough tasks."""
    bench.clean()
    started = time.monotonic()
    whole = bench.run((), job.tests, timeout_s=6 * _TIMEOUT_S)
    timeout_s = min(_TIMEOUT_S, 2.0 + 5 * (time.monotonic() - started))
    tests = tuple(test for test in job.tests if whole.outcomes.get(test) == "passed")
    tasks: list[CodingTask] = []
    dropped: Counter[str] = Counter() if tests else Counter(unstable=1)
    order = _draw(job.function, job.seed)[: _MAX_TRIES_PER_TASK * job.per_function]
    for mutation in order if tests else ():
        if len(tasks) == job.per_function:
            break
        found = _try_mutation(bench, job, mutation, tests, timeout_s)
        if isinstance(found, CodingTask):
            tasks.append(found)
        else:
            dropped[found] += 1
    return tasks, dropped


def _try_mutation(
    bench: MutantBench, job: _Job, mutation: Mutation, tests: Sequence[str], timeout_s: float
) -> CodingTask | str:
    """Return the task that a mutation makes, or why it makes none."""
    # For each traceback pytest parses whole files, which can take longer than the tests.
    report = bench.run([mutation], tests, timeout_s=timeout_s, options=("--tb=no",))
    flaw = _flaw(report, tests)
    if flaw is not None:
        return flaw
    again = bench.run([mutation], tests, timeout_s=timeout_s, options=("--tb=no",))
    steady = [test for test in tests if again.outcomes.get(test) == report.outcomes[test]]
    failing = [test for test in steady if report.outcomes[test] in ("failed", "error")]
    if not failing:
        return "flaky"
    alone = bench.run([mutation], failing[:1], timeout_s=_TIMEOUT_S)
    if alone.outcomes.get(failing[0]) not in ("failed", "error"):
        return "flaky"
    passing = [test for test in steady if report.outcomes[test] == "passed"]
    return job.release.task([mutation], [job.function], failing, passing, alone.output)


def _draw(function: SourceFunction, seed: int) -> list[Mutation]:
    """Shuffle a function's mutations so that the operators take turns."""
    generator = random.Random(f"{seed}/{function.path}/{function.name}/{function.first_line}")
    by_operator: defaultdict[str, list[Mutation]] = defaultdict(list)
    for mutation in function.mutations:
        by_operator[mutation.operator].append(mutation)
    groups = list(by_operator.values())
    generator.shuffle(groups)
    for group in groups:
        generator.shuffle(group)
    longest = max(map(len, groups), default=0)
    return [group[turn] for turn in range(longest) for group in groups if turn < len(group)]


def _flaw(report: TestReport, tests: Sequence[str]) -> str | None:
    """Return why a mutation makes no task, or None if it may."""
    outcomes = [report.outcomes.get(test, "absent") for test in tests]
    if report.timed_out:
        return "timeout"
    if all(outcome in ("error", "absent") for outcome in outcomes):
        return "import"
    if "absent" in outcomes:
        return "crash"
    if "failed" not in outcomes and "error" not in outcomes:
        return "survived"
    return "memory" if "MemoryError" in report.output else None
