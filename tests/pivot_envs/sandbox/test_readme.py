"""The sandbox's README names tests that exist."""

import re
from pathlib import Path

import pivot_envs.sandbox

README = Path(pivot_envs.sandbox.__file__).parent / "README.md"
TESTS = Path(__file__).parents[1]


def test_every_test_that_the_table_names_exists() -> None:
    named = set(re.findall(r"\btest_\w+(?:\.py)?", README.read_text(encoding="utf-8")))
    files = {path.name: path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")}
    functions = set(re.findall(r"^def (test_\w+)", "\n".join(files.values()), re.MULTILINE))
    assert len(named) > 30
    assert named <= functions | set(files)


def test_every_attack_that_is_tested_is_in_the_table() -> None:
    text = README.read_text(encoding="utf-8")
    for path in TESTS.rglob("test_attacks_on_*.py"):
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert name in text, name
