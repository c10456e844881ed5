"""Combinations: tasks whose bug is two or three bugs of other tasks, in different functions."""

import random
from collections.abc import Sequence
from queue import SimpleQueue

from pivot_envs.coding.gold import Bug
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.tasks.bench import MutantBench
from pivot_envs.coding.tasks.mutated_release import MutatedRelease

_TIMEOUT_S = 20.0
_MOST_PARTS = 3
_SAME_FILE = 0.5
_MAX_TESTS = 40
_FAILED = ("failed", "error")


def plan_combinations(
    singles: Sequence[CodingTask], *, count: int, seed: int
) -> tuple[tuple[CodingTask, ...], ...]:
    """Choose which tasks to combine: half of the time of one file, else of any.

    Args:
        singles: Tasks of one mutation each, of one release.
        count: Number of combinations; fewer where there are too few functions.
        seed: Another seed gives others.
    """
    generator = random.Random(f"{seed} combinations")
    by_function: dict[str, list[CodingTask]] = {}
    for task in singles:
        by_function.setdefault(task.bug.function, []).append(task)
    plans: dict[tuple[str, ...], tuple[CodingTask, ...]] = {}
    for _ in range(2 * count if len(by_function) >= _MOST_PARTS else 0):
        first = generator.choice(list(by_function))
        path = first.partition("::")[0]
        near = [name for name in by_function if name != first and name.startswith(f"{path}::")]
        far = [name for name in by_function if name != first]
        pool = near if generator.random() < _SAME_FILE and len(near) >= _MOST_PARTS - 1 else far
        names = [first, *generator.sample(pool, generator.randint(1, _MOST_PARTS - 1))]
        parts = tuple(generator.choice(by_function[name]) for name in sorted(names))
        plans.setdefault(tuple(part.task_id for part in parts), parts)
    return tuple(plans.values())[:count]


def combine_next(
    benches: "SimpleQueue[MutantBench]",
    release: MutatedRelease,
    plans: Sequence[Sequence[CodingTask]],
    found: dict[int, CodingTask],
    index: int,
) -> None:
    """Make the task of one plan, if a test fails for each of its bugs.

    Each part is needed: without the others it is a task of its own, whose tests are named here.

    Raises:
        SandboxError: The sandbox failed.
    """
    bench = benches.get()
    try:
        task = _combine(bench, release, plans[index])
        if task is not None:
            found[index] = task
    finally:
        benches.put(bench)


def _combine(
    bench: MutantBench, release: MutatedRelease, parts: Sequence[CodingTask]
) -> CodingTask | None:
    mutations = [mutation for part in parts for mutation in part.bug.mutations]
    tests = _tests(parts)
    report = bench.run(mutations, tests, timeout_s=_TIMEOUT_S, options=("--tb=no",))
    failing = [test for test in tests if report.outcomes.get(test) in _FAILED]
    passing = [test for test in tests if report.outcomes.get(test) == "passed"]
    described = [
        next((test for test in part.fail_to_pass if test in failing), None) for part in parts
    ]
    if report.timed_out or None in described or len(set(described)) < len(parts):
        return None
    first = [test for test in described if test is not None]
    output = bench.run(mutations, first, timeout_s=_TIMEOUT_S).output
    bug = Bug(
        tuple(mutations),
        tuple(part.bug.function for part in parts),
        sum(part.bug.lines for part in parts),
    )
    ordered = [*first, *(test for test in failing if test not in first)]
    return release.task_of(bug, ordered, passing, output)


def _tests(parts: Sequence[CodingTask]) -> tuple[str, ...]:
    """Return all tests that fail for a part, and as many others as there is room for."""
    failing = dict.fromkeys(test for part in parts for test in part.fail_to_pass)
    others = dict.fromkeys(test for part in parts for test in part.pass_to_pass)
    room = max(0, _MAX_TESTS - len(failing))
    return (*failing, *[test for test in others if test not in failing][:room])
