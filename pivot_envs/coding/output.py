"""What the agent is shown of a command's output: clipped, and the same in every run."""

import re

from pivot_envs.sandbox.base import CommandResult
from pivot_envs.sandbox.pytest_command import pytest_words

_DURATION = re.compile(
    r"^(.*\b(?:passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?|[Rr]an)\b.*)"
    r" in \d+\.\d+s(?: \(\d+:\d\d:\d\d\))?",
    re.MULTILINE,
)
_ADDRESS = re.compile(r"\bat 0x[0-9A-Fa-f]*(?:\.\.\.)?")
_COUNT = re.compile(r"\b(\d+) (passed|failed|errors?|skipped)\b")


def reproducible(output: str) -> str:
    """Remove pytest's wall-clock times and objects' addresses, so that an episode replays."""
    return _ADDRESS.sub("at 0x...", _DURATION.sub(r"\1", output))


def clip(text: str, max_chars: int) -> str:
    """Keep head and tail of a text that is longer than ``max_chars`` (at least 1) characters."""
    if len(text) <= max_chars:
        return text
    head = max_chars // 2
    tail = max_chars - head
    omitted = len(text) - head - tail
    return f"{text[:head]}\n[... {omitted} characters omitted ...]\n{text[-tail:]}"


def output_facts(command: str, output: str, exit_code: int | None) -> frozenset[str]:
    """Return what a command taught: its exit code, and test counts or else its lines.

    Counts are believed of a plain pytest run alone, since any command can print them. A command
    that succeeds and prints nothing taught nothing.
    """
    if exit_code == 0 and not output.strip():
        return frozenset()
    counts = {f"{number} {outcome}" for number, outcome in _COUNT.findall(output)}
    lines = {f"output: {line}" for line in output.splitlines()}
    is_test_run = bool(counts) and bool(pytest_words(command))
    return frozenset({f"exit code {exit_code}"} | (counts if is_test_run else lines))


def exit_line(result: CommandResult, timeout_s: float) -> str:
    """Return the line by which the agent is told how its command ended."""
    if result.timed_out:
        return f"[timed out after {timeout_s:g} s; all its processes were killed]"
    return f"[exit code {result.exit_code}]"
