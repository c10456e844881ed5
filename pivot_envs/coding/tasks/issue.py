"""The issue text: what someone who ran the tests would report, without giving the place away."""

import re
from collections.abc import Callable, Collection, Sequence

from pivot_envs.coding.gold import Mutation, apply_mutation
from pivot_envs.coding.workspace import Workspace

_HEADER = re.compile(r"^_{3,} (.+?) _{3,}$")
_RULER = re.compile(r"^(={3,}|-{3,}).*(={3,}|-{3,})$|^-{5,} Captured")
_FRAME = re.compile(r"^(\S+\.py):\d+: in ")
_MAX_CONTEXT = 240
_MAX_SOURCE = 110


def write_issue(
    workspace: Workspace, mutations: Sequence[Mutation], failing: Sequence[str], output: str
) -> str:
    """Write the issue of a bug from pytest's real output.

    The first line counts the failing tests; of one test for each mutation, the next lines give
    the name, what it asserts and how it failed. Neither the text nor the number of a mutated line
    is shown: context that would reveal them is left out.

    Args:
        workspace: The release, without the bug.
        mutations: The bug.
        failing: Ids of the failing tests; the first ones are described.
        output: What pytest printed about these, with ``--tb=short``.
    """
    numbers = {mutation.line for mutation in mutations}
    count = "1 test fails" if len(failing) == 1 else f"{len(failing)} tests fail"
    if len(failing) in numbers:
        count = "Tests fail"
    secrets = [line for mutation in mutations for line in _changed_lines(workspace, mutation)]
    described = [
        describe_failure(workspace, test, output, lambda text: _reveals(text, numbers, secrets))
        for test in failing[: len(mutations)]
    ]
    return "\n".join([f"{workspace.title}: {count}.", *described])


def _changed_lines(workspace: Workspace, mutation: Mutation) -> list[str]:
    """Return the lines that a mutation changes, before and after."""
    whole = workspace.text(mutation.path)
    versions = [
        (whole, mutation.original),
        (apply_mutation(whole, mutation), mutation.mutated),
    ]
    lines: list[str] = []
    for text, span in versions:
        first = mutation.line - 1
        lines += text.split("\n")[first : first + 1 + span.count("\n")]
    return lines


def describe_failure(
    workspace: Workspace, test: str, output: str, reveals: Callable[[str], bool]
) -> str:
    """Return a failing test's id, what it asserts and how it failed.

    Args:
        workspace: Tells which files are tests.
        test: Id of the test.
        output: What pytest printed, with ``--tb=short``.
        reveals: Tells whether a text gives the solution away; such context is left out.
    """
    block = _failure(output, test)
    statement, error = _statement(block, workspace), _error(block)
    for context in ([*statement, *error], error[:1], []):
        text = _clip("\n".join(context))
        if not reveals(text):
            break
    return "\n".join(filter(None, (test, text)))


def _failure(output: str, test: str) -> list[str]:
    """Return the lines of a test's own section of pytest's output."""
    path, bracket, parameters = test.partition("::")[2].partition("[")
    name = path.replace("::", ".") + bracket + parameters
    block: list[str] = []
    inside = False
    for line in output.splitlines():
        header = _HEADER.match(line)
        if header or _RULER.match(line):
            if block:
                break
            title = header[1].removeprefix("ERROR at setup of ") if header else ""
            inside = title == name or title.startswith(f"{name} ")
        elif inside:
            block.append(line)
    return block


def _statement(block: Sequence[str], workspace: Workspace) -> list[str]:
    """Return the statement of the innermost frame that lies in a test, as one line."""
    statement: list[str] = []
    in_test = False
    for line in block:
        frame = _FRAME.match(line)
        if frame:
            in_test = workspace.is_test(frame[1])
            statement = [] if in_test else statement
        elif in_test and line.startswith("    ") and line.strip("^~ "):
            statement.append(line.strip())
    text = " ".join(statement)
    return [f"> {text}"] if 0 < len(text) <= _MAX_SOURCE else []


def _error(block: Sequence[str]) -> list[str]:
    lines = (line[1:].strip() for line in block if line.startswith("E "))
    return [f"E {re.sub(r'0x[0-9A-Fa-f]{4,}', '0x...', line)}" for line in lines if line]


def _clip(text: str) -> str:
    return text if len(text) <= _MAX_CONTEXT else f"{text[: _MAX_CONTEXT - 3]}..."


def _reveals(text: str, numbers: Collection[int], lines: Sequence[str]) -> bool:
    quotes = any(len(line.strip()) > 3 and line.strip() in text for line in lines)
    return quotes or any(re.search(rf"(?<!\d){number}(?!\d)", text) for number in numbers)
