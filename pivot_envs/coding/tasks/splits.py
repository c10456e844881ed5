"""Splits: which tasks are learned from and which are held out.

A split follows from a task's identity alone, so that it is the same whichever tasks are built,
and so that training text can leave out what is held out before any task exists.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from pivot_envs.coding.gold import Bug, Mutation
from pivot_envs.coding.task import CodingTask, Split

UNSEEN_FUNCTIONS = 0.12
"""Share of the functions that are held out whole."""
TEST_SPANS = 0.2
"""Share of the changed spans that are held out of the other functions."""


def split_of(package: str, function: str, mutation: Mutation, *, seed: int = 0) -> Split:
    """Return the split of a mutation.

    All mutations of an ``unseen`` function are unseen. In the others, mutations that change the
    same span are on the same side.

    Args:
        package: Name of the package; releases share their splits.
        function: ``path/to/file.py::Class.method``.
        mutation: The bug.
        seed: Another seed gives other splits.
    """
    if is_unseen(package, function, seed=seed):
        return "unseen"
    span = (mutation.original, str(mutation.column), str(mutation.line))
    return "test" if _draw(seed, package, function, *span) < TEST_SPANS else "train"


def is_unseen(package: str, function: str, *, seed: int = 0) -> bool:
    """Tell whether a function is held out whole."""
    return _draw(seed, package, function) < UNSEEN_FUNCTIONS


def assign_splits(tasks: Sequence[CodingTask], *, seed: int = 0) -> tuple[CodingTask, ...]:
    """Give every task its split, in the order given.

    ``test`` mutations of a function that has no ``train`` task among ``tasks`` are dropped: they
    would be no unseen mutations of a known function.
    """
    split = [replace(task, split=_split_of_task(task, seed)) for task in tasks]
    known = {place for task in split if task.split == "train" for place in _places(task)}
    return tuple(task for task in split if task.split != "test" or _places(task) <= known)


def _split_of_task(task: CodingTask, seed: int) -> Split:
    """Return the split that holds out the most of a bug's parts; a patch is held out by its id."""
    if not isinstance(task.gold, Bug):
        return "test" if _draw(seed, task.package, task.task_id) < TEST_SPANS else "train"
    pairs = zip(task.gold.functions, task.gold.mutations, strict=True)
    splits = {split_of(task.package, function, bug, seed=seed) for function, bug in pairs}
    return "unseen" if "unseen" in splits else "test" if "test" in splits else "train"


def _places(task: CodingTask) -> set[tuple[str, str]]:
    functions = task.gold.functions if isinstance(task.gold, Bug) else ()
    return {(task.package, function) for function in functions}


def _draw(seed: int, *identity: str) -> float:
    """Return a number in [0, 1) that depends on nothing but the arguments."""
    digest = hashlib.sha256("\0".join([str(seed), *identity]).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
