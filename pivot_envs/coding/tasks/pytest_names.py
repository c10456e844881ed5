"""The names by which pytest knows the tests of SWE-bench rows."""

import re
from collections.abc import Sequence

_UNITTEST = re.compile(r"(?P<name>\w+) \((?P<place>[\w.]+)\)")


def pytest_name(test: str, test_files: Sequence[str]) -> str | None:
    """Return a test's pytest id, or None if it cannot be told from the row.

    Rows name tests as their project's runner printed them: as pytest does, as unittest does, or
    by the function alone. The last two are looked for in the files that the test patch changes.

    >>> pytest_name("tests/test_a.py::test_b[1]", ())
    'tests/test_a.py::test_b[1]'
    >>> pytest_name("test_render (widgets.tests.WidgetTest)", ("tests/widgets/tests.py",))
    'tests/widgets/tests.py::WidgetTest::test_render'
    >>> pytest_name("test_render", ("tests/widgets/tests.py",))
    'tests/widgets/tests.py::test_render'
    >>> pytest_name("It renders.", ("tests/widgets/tests.py",)) is None
    True

    Args:
        test: The test as a row names it.
        test_files: Paths that the row's test patch changes.
    """
    if test.partition("::")[0].endswith(".py"):
        return test
    if match := _UNITTEST.fullmatch(test):
        name, place = match["name"], match["place"].removesuffix(f".{match['name']}")
        module, _, case = place.rpartition(".")
        path = f"{module.replace('.', '/')}.py"
        files = [file for file in test_files if file == path or file.endswith(f"/{path}")]
        return f"{files[0]}::{case}::{name}" if len(files) == 1 else None
    if test.isidentifier() and len(test_files) == 1:
        return f"{test_files[0]}::{test}"
    return None
