"""Splits: which tasks are learned from and which are held out."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from pivot_envs.coding.task import CodingTask, Split


def assign_splits(
    tasks: Sequence[CodingTask],
    *,
    seed: int,
    unseen_functions: float = 0.12,
    test_mutations: float = 0.2,
) -> tuple[CodingTask, ...]:
    """Give every task its split, in the order given.

    All tasks of an ``unseen`` function are unseen. Every function with ``test`` tasks has
    ``train`` tasks too, and tasks that change the same span are on the same side.

    Args:
        tasks: Tasks of any packages; the splits that they have do not count.
        seed: The same tasks and seed give the same splits.
        unseen_functions: Share of each package's functions held out whole.
        test_mutations: Share of the changed spans held out of the other functions.
    """
    functions: defaultdict[str, defaultdict[str, list[CodingTask]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for task in tasks:
        functions[f"{task.package}=={task.version}"][task.function].append(task)
    splits: dict[str, Split] = {}
    for package, by_function in sorted(functions.items()):
        generator = random.Random(f"{seed}/{package}")
        names = sorted(by_function)
        generator.shuffle(names)
        held_out = round(unseen_functions * len(names))
        for name in names[:held_out]:
            splits.update((task.task_id, "unseen") for task in by_function[name])
        for name in names[held_out:]:
            splits.update(_within_function(by_function[name], generator, test_mutations))
    return tuple(replace(task, split=splits[task.task_id]) for task in tasks)


def _within_function(
    tasks: Sequence[CodingTask], generator: random.Random, share: float
) -> dict[str, Split]:
    spans: defaultdict[tuple[int, int, str], list[CodingTask]] = defaultdict(list)
    for task in tasks:
        place = task.mutation
        spans[place.line, place.column, place.original].append(task)
    order = sorted(spans)
    generator.shuffle(order)
    # Rounding by chance keeps the share right over many functions with few spans each.
    count = min(int(share * len(order) + generator.random()), len(order) - 1)
    test = set(order[:count])
    return {
        task.task_id: "test" if span in test else "train"
        for span, group in spans.items()
        for task in group
    }
