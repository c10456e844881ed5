from collections.abc import Sequence

from pivot_envs.coding.gold import Mutation
from pivot_envs.coding.source import PackageSource
from pivot_envs.coding.tasks.issue import write_issue
from pivot_envs.coding.workspace import Workspace

OUTPUT = """\
F                                                                        [100%]
=================================== FAILURES ===================================
____________________________ test_clamp_both_sides _____________________________
tests/test_tiny.py:13: in test_clamp_both_sides
    assert clamp(15, high=12) == 12
E   assert 15 == 12
E    +  where 15 = <function clamp at 0x7f12ab34cd56>(15, high=12)
____________________________ CounterTests.test_add _____________________________
tests/test_tiny.py:21: in test_add
    self.assertEqual(
        counter.add(3), 5)
tiny.py:22: in add
    self.total -= amount
    ^^^^^^^^^^^^^^^^^^^^
E   ValueError: self.total -= amount
----------------------------- Captured stdout call -----------------------------
printed
=========================== short test summary info ============================
FAILED tests/test_tiny.py::test_clamp_both_sides - assert 15 == 12
"""
CLAMP = "tests/test_tiny.py::test_clamp_both_sides"
ADD = "tests/test_tiny.py::CounterTests::test_add"
MUTATION = Mutation("tiny.py", 8, ">", "<", 13, "comparison")


def _issue(
    source: PackageSource,
    failing: Sequence[str],
    mutation: Mutation = MUTATION,
    output: str = OUTPUT,
) -> list[str]:
    return write_issue(Workspace.of(source), [mutation], failing, output).split("\n")


def test_an_issue_counts_names_and_quotes(tiny_source: PackageSource) -> None:
    assert _issue(tiny_source, [CLAMP]) == [
        "tiny 1.0: 1 test fails.",
        CLAMP,
        "> assert clamp(15, high=12) == 12",
        "E assert 15 == 12",
        "E +  where 15 = <function clamp at 0x...>(15, high=12)",
    ]
    assert _issue(tiny_source, [CLAMP, ADD])[0] == "tiny 1.0: 2 tests fail."


def test_the_statement_comes_from_the_test_and_the_package_is_not_quoted(
    tiny_source: PackageSource,
) -> None:
    assert _issue(tiny_source, [ADD], output=OUTPUT.replace("ValueError: self", "ValueError: S"))[
        2:
    ] == [
        "> self.assertEqual( counter.add(3), 5)",
        "E ValueError: S.total -= amount",
    ]


def test_context_that_quotes_the_mutated_line_is_left_out(tiny_source: PackageSource) -> None:
    source = tiny_source.files["tiny.py"].decode().split("\n")
    line = source.index("        self.total += amount")
    mutation = Mutation("tiny.py", line + 1, "+=", "-=", 19, "augmented")
    assert _issue(tiny_source, [ADD], mutation) == ["tiny 1.0: 1 test fails.", ADD]


def _at_line(number: int) -> Mutation:
    """Return a mutation that fits any line."""
    return Mutation("tiny.py", number, "", "#", 0, "comment")


def test_context_with_the_number_of_the_mutated_line_is_cut(tiny_source: PackageSource) -> None:
    named_in_statement = _at_line(15)
    assert _issue(tiny_source, [CLAMP], named_in_statement)[2:] == []
    output = OUTPUT.replace("high=12", "high=11").replace("== 12", "!= 0")
    assert _issue(tiny_source, [CLAMP], _at_line(11), output)[2:] == ["E assert 15 != 0"]


def test_the_count_never_equals_the_number_of_the_mutated_line(tiny_source: PackageSource) -> None:
    assert _issue(tiny_source, [CLAMP, ADD], _at_line(2))[0] == "tiny 1.0: Tests fail."


def test_long_context_is_clipped(tiny_source: PackageSource) -> None:
    output = OUTPUT.replace("assert 15 == 12\nE", f"assert {'x' * 500}\nE")
    context = "\n".join(_issue(tiny_source, [CLAMP], output=output)[2:])
    assert len(context) == 240
    assert context.endswith("...")


def test_a_test_without_a_section_still_gives_an_issue(tiny_source: PackageSource) -> None:
    assert _issue(tiny_source, ["tests/test_tiny.py::test_other"])[1:] == [
        "tests/test_tiny.py::test_other"
    ]
