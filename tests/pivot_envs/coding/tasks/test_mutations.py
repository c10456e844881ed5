import ast
import heapq
import inspect
import textwrap
from types import ModuleType

import pytest

from pivot_envs.coding.gold import Mutation, apply_mutation, revert_mutation
from pivot_envs.coding.tasks.mutations import find_functions
from pivot_envs.errors import SourceError

SAMPLE = '''\
@decorator(1 < 2)
def scan(items: "a < b", low=0, high=None, *, strict=True):
    """Scan items: low < high and 1 + 1."""
    total = -low
    for index, item in enumerate(items):
        if item is None or not item.valid:
            continue
        if strict:
            total += item.weight * item.count
        elif total == high and item in items[low:]:
            break
    return min(total, high)


class Box:
    limit = 1 + 1

    def get(self, key):
        return self.cache[key] if self.ready else self.store[key]

    def long(self):
        a = 1
        b = 2
        c = True
        return a + b + c
'''
OPERATORS = {
    "comparison": ("==", "!="),
    "arithmetic": ("*", "//"),
    "boolean": ("and", "or"),
    "drop_not": ("not item", "item"),
    "add_not": ("strict", "not strict"),
    "constant": ("True", "False"),
    "call_name": ("min", "max"),
    "swap_arguments": ("total, high", "high, total"),
    "return_none": ("min(total, high)", "None"),
    "slice_bound": ("low", "low - 1"),
    "wrong_name": ("item", "items"),
    "wrong_attribute": ("weight", "count"),
    "loop_control": ("continue", "break"),
    "augmented": ("+=", "-="),
    "default": ("0", "1"),
    "sign": ("-", "+"),
    "off_by_one": ("2", "1"),
}


def _mutations(text: str, **options: int) -> list[Mutation]:
    functions = find_functions("sample.py", text, **options)
    return [mutation for function in functions for mutation in function.mutations]


@pytest.mark.parametrize("module", [textwrap, heapq])
def test_reverting_a_mutation_gives_back_the_source_byte_for_byte(module: ModuleType) -> None:
    text = inspect.getsource(module)
    mutations = _mutations(text)
    assert len(mutations) > 50
    for mutation in mutations:
        line = text.split("\n")[mutation.line - 1]
        assert line.startswith(mutation.original, mutation.column)
        mutated = apply_mutation(text, mutation)
        assert mutated != text
        assert mutated.count("\n") == text.count("\n")
        assert revert_mutation(mutated, mutation) == text
        assert mutation.mutated


def test_mutated_source_is_valid_and_differs_in_one_function_only() -> None:
    text = inspect.getsource(textwrap)
    docstrings = {
        ast.get_docstring(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module))
    }
    for function in find_functions("textwrap.py", text):
        for mutation in function.mutations:
            assert function.first_line <= mutation.line <= function.last_line
            tree = ast.parse(apply_mutation(text, mutation))
            assert ast.dump(tree) != ast.dump(ast.parse(text))
            found = {
                ast.get_docstring(node)
                for node in ast.walk(tree)
                if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module))
            }
            assert found == docstrings


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_makes_its_change(operator: str) -> None:
    changes = {
        (mutation.original, mutation.mutated)
        for mutation in _mutations(SAMPLE)
        if mutation.operator == operator
    }
    assert OPERATORS[operator] in changes


def test_no_operator_is_missing() -> None:
    assert {mutation.operator for mutation in _mutations(SAMPLE)} == set(OPERATORS)


def test_decorators_annotations_and_docstrings_are_left_alone() -> None:
    assert {mutation.line for mutation in _mutations(SAMPLE)}.isdisjoint({1, 3, 16})
    signature = [mutation for mutation in _mutations(SAMPLE) if mutation.line == 2]
    assert {mutation.operator for mutation in signature} == {"default"}


def test_methods_are_named_with_their_class_and_long_functions_are_left_out() -> None:
    names = [function.name for function in find_functions("a.py", SAMPLE, max_lines=3)]
    assert names == ["Box.get"]
    scan, get, long = find_functions("a.py", SAMPLE)
    assert (scan.first_line, scan.last_line, scan.body_lines) == (1, 12, 9)
    assert (get.name, get.body_lines) == ("Box.get", 1)
    assert (long.name, long.body_lines) == ("Box.long", 4)


def test_columns_count_characters_and_line_ends_stay() -> None:
    text = 'def f(a):\r\n    return "äöü😀", a + 1\r\n'
    (change,) = [each for each in _mutations(text) if each.operator == "arithmetic"]
    assert change.column == text.split("\n")[1].index("+")
    assert apply_mutation(text, change) == text.replace("+", "-")


def test_a_change_that_gives_invalid_or_equal_code_is_left_out() -> None:
    text = "def f(a, b):\n    return g(a, a, *b)\n"
    assert not [each for each in _mutations(text) if each.operator == "swap_arguments"]


def test_source_that_is_no_python_is_reported() -> None:
    with pytest.raises(SourceError, match=r"broken\.py cannot be parsed"):
        find_functions("broken.py", "def f(:\n")
