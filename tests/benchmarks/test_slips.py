import random
from dataclasses import replace

from benchmarks.corpus import Code
from benchmarks.slips import draw_slips
from pivot_envs.coding.gold import apply_mutation
from pivot_envs.coding.tasks.mutations import find_functions
from pivot_envs.coding.view import find_function

SOURCE = '''\
def clamp(value, low=0, high=9):
    """Keep a value.

    Between two others, not outside.
    """
    if value < low and low is not None:  # if value
        return low + 1
    return high if value > high else "low or high"
'''
CODE = Code("module.py", SOURCE, find_functions("module.py", SOURCE))
SPAN = find_function(SOURCE, "clamp")


def drawn(code: Code, seed: int, count: int = 2):
    assert SPAN is not None
    return draw_slips(code, code.functions[0], SPAN, count, random.Random(seed))


def test_as_many_slips_are_drawn_as_asked_for():
    assert [len(drawn(CODE, seed=1, count=count)) for count in (0, 1, 3)] == [0, 1, 3]


def test_slips_change_different_lines_of_code_only():
    touched = set()
    for seed in range(300):
        slips = drawn(CODE, seed)
        assert [slip.line for slip in slips] == sorted({slip.line for slip in slips})
        for slip in slips:
            changed = apply_mutation(SOURCE, slip)
            assert changed != SOURCE
            assert '"low or high"' in changed or slip.mutated == "None"
            assert "# if value" in changed
            assert "not outside" in changed
            touched.add(slip.line)
    assert touched == {1, 6, 7, 8}


def test_a_slip_can_lose_a_result_exchange_arguments_or_add_a_not():
    source = "def f(a, b):\n    if a:\n        return g(a, b)\n    return a or b\n"
    code = Code("m.py", source, find_functions("m.py", source))
    span = find_function(source, "f")
    assert span is not None
    drawn_lines = set()
    for seed in range(400):
        (slip,) = draw_slips(code, code.functions[0], span, 1, random.Random(seed))
        drawn_lines.add(apply_mutation(source, slip).split("\n")[slip.line - 1].strip())
    assert drawn_lines >= {"return None", "def f(b, a):", "return g(b, a)", "if not a:"}


def test_no_slip_makes_a_held_out_line():
    line = '    return high if value >= high else "low or high"'
    made = {
        (slip.line, apply_mutation(SOURCE, slip).split("\n")[slip.line - 1])
        for seed in range(300)
        for slip in drawn(CODE, seed)
    }
    assert (8, line) in made
    kept = replace(CODE, held_out=frozenset({(8, line)}))
    again = {
        (slip.line, apply_mutation(SOURCE, slip).split("\n")[slip.line - 1])
        for seed in range(300)
        for slip in drawn(kept, seed)
    }
    assert (8, line) not in again
