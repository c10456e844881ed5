import pytest

from pivot_envs.coding.output import clip, output_facts, reproducible


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1 failed, 2 passed in 0.12s", "1 failed, 2 passed"),
        ("== 3 passed, 1 warning in 61.00s (0:01:01) ==", "== 3 passed, 1 warning =="),
        ("no tests ran in 0.01s", "no tests ran"),
        ("Ran 5 tests in 0.003s", "Ran 5 tests"),
        ("1 deselected in 0.10s", "1 deselected"),
        ("<f at 0x7f12ab34cd56>, <g at 0x7F12AB>", "<f at 0x...>, <g at 0x...>"),
        ("<f at 0x7f12...", "<f at 0x..."),
        ("we arrived in 0.12s at x", "we arrived in 0.12s at x"),
        ("address 0x7f12ab34cd56", "address 0x7f12ab34cd56"),
    ],
)
def test_what_differs_from_run_to_run_is_removed(line: str, expected: str) -> None:
    assert reproducible(f"first\n{line}\nlast") == f"first\n{expected}\nlast"


def test_a_long_text_keeps_its_head_and_tail() -> None:
    assert clip("abcdef", 6) == "abcdef"
    assert clip("abcdefgh", 5) == "ab\n[... 3 characters omitted ...]\nfgh"
    assert clip("abc", 1) == "\n[... 2 characters omitted ...]\nc"


def test_test_counts_are_the_facts_of_a_test_run() -> None:
    output = "tests/a.py::b FAILED\n1 failed, 20 passed"
    facts = output_facts("python -m pytest -q tests/a.py", output, 1)
    assert facts == {"exit code 1", "1 failed", "20 passed"}
    assert output_facts("cat a", "a\nb\na\n", None) == {"exit code None", "output: a", "output: b"}


def test_test_counts_that_another_command_prints_are_only_its_output() -> None:
    forged = output_facts("echo '20 passed'", "20 passed\n", 0)
    assert forged == {"exit code 0", "output: 20 passed"}


def test_a_command_that_succeeds_in_silence_teaches_nothing() -> None:
    assert output_facts("cd src", "\n", 0) == frozenset()
    assert output_facts("false", "", 1) == {"exit code 1"}
