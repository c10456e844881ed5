"""Requirements: what the tests of a release import beside the release, pytest and Python itself."""

import ast
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from importlib.metadata import packages_distributions

from pivot_envs.coding.workspace import Workspace

_ALWAYS_THERE = frozenset(["pytest", "_pytest", "pluggy"])


def needed_by_tests(workspace: Workspace, tests: Iterable[str]) -> tuple[str, ...]:
    """Return the distributions that the files of some tests, and their helpers, import.

    Only what is installed here is named: what is not could not have been needed.

    Args:
        workspace: The release whose tests they are.
        tests: Test ids.
    """
    paths = {test.partition("::")[0] for test in tests}
    paths |= {path for path in workspace.files if path.endswith("conftest.py")}
    modules = {name for path in paths for name in _imports(workspace.read(path) or "")}
    modules -= {path.partition("/")[0].removesuffix(".py") for path in workspace.files}
    distributions = _distributions()
    return tuple(
        sorted(
            distributions[module][0]
            for module in modules - sys.stdlib_module_names - _ALWAYS_THERE
            if module in distributions
        )
    )


@cache
def _distributions() -> Mapping[str, Sequence[str]]:
    return packages_distributions()


@lru_cache(maxsize=256)
def _imports(text: str) -> frozenset[str]:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return frozenset()
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name.partition(".")[0] for alias in aliases}
            case ast.ImportFrom(module=str(module), level=0):
                names.add(module.partition(".")[0])
    return frozenset(names)
