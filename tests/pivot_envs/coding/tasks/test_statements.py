"""Mutations of statements and calls, on a sample and on a real module."""

import ast
import heapq
import inspect

import pytest

from pivot_envs.coding.gold import apply_mutation, revert_mutation
from pivot_envs.coding.tasks.mutations import find_functions

SAMPLE = '''\
async def gather(items, low, key=None):
    """Gather the items."""
    if low < 0:
        raise ValueError("low")
    total = low
    for item in items:
        if item is None:
            continue
        elif item in (1, 2, 3):
            total += item
        else:
            total -= item - low
        items.append(item.strip())
        total = await lookup(total, key=key)
        key = total if low else item
    try:
        yield items[low]
    except (KeyError, IndexError):
        pass
    assert total and low


def pick(first, second):
    third = first or second
    yield from third
    return third
'''
OPERATORS = {
    "missing_statement": ("        items.append(item.strip())\n", ""),
    "missing_branch": ('    if low < 0:\n        raise ValueError("low")\n', ""),
    "missing_return": ("return ", ""),
    "missing_condition": ("first or second", "first"),
    "missing_call": ("item.strip()", "item"),
    "missing_argument": (", key=key", ""),
    "missing_alternative": (", 3", ""),
    "wrong_exception": ("ValueError", "TypeError"),
    "wrong_index": ("low", "low - 1"),
    "lost_await": ("await lookup(total, key=key)", "lookup(total, key=key)"),
    "lost_yield": ("yield items[low]", "items[low]"),
    "lost_yield_from": ("from ", ""),
    "lost_accumulation": ("+=", "="),
    "shadowed_variable": ("third", "first"),
    "swap_operands": ("item - low", "low - item"),
    "swap_branches": ("total if low else item", "item if low else total"),
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_makes_its_change(operator: str) -> None:
    functions = find_functions("a.py", SAMPLE, max_lines=40, statements=True)
    made = [
        mutation
        for function in functions
        for mutation in function.mutations
        if mutation.operator == operator
    ]
    assert OPERATORS[operator] in {(mutation.original, mutation.mutated) for mutation in made}


def test_only_who_asks_gets_them() -> None:
    plain = find_functions("a.py", SAMPLE, max_lines=40)
    operators = {each.operator for function in plain for each in function.mutations}
    assert operators.isdisjoint(OPERATORS)


def test_every_mutation_can_be_taken_back_and_parses() -> None:
    text = inspect.getsource(heapq)
    functions = find_functions("heapq.py", text, statements=True)
    mutations = [each for function in functions for each in function.mutations]
    assert any(not each.is_one_line for each in mutations)
    for mutation in mutations:
        mutated = apply_mutation(text, mutation)
        assert revert_mutation(mutated, mutation) == text
        ast.parse(mutated)


def test_spans_over_carriage_returns_are_left_alone() -> None:
    text = SAMPLE.replace("\n", "\r\n")
    functions = find_functions("a.py", text, max_lines=40, statements=True)
    mutations = [each for function in functions for each in function.mutations]
    assert mutations
    assert not any("\r" in each.original for each in mutations)
