"""Repairer, a stand-in for a language model behind an API: it answers messages with tool calls.

It knows nothing of this project, its tools or its tasks, and imports nothing of it: which tool is
a shell and which one ends the work, it reads from the tools' descriptions. What it does is what
anyone would try first: run the tests that the issue names, find the functions that they call, read
them, and try small changes to their lines until the tests pass.
"""

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

Message = dict[str, Any]
_Steps = Generator[str, str, None]

_TEST = re.compile(r"[\w./-]+\.py::[\w:]+(?:\[[^\]\n]*\])?")
_TEST_FILE = re.compile(r"(^|/)(test_[^/]*|[^/]*_test|conftest)\.py$")
_FRAME = re.compile(r"^(\S+\.py):(\d+): in (\w+)", re.MULTILINE)
_CALL = re.compile(r"\b([A-Za-z_]\w*)\(")
_PLACE = re.compile(r"^(?:\./)?(\S+\.py):(\d+):")
_TOKEN = re.compile(
    r"is not\b|not in\b|\b[A-Za-z_]\w*\b|\b\d+\b|[<>=!+*/%-]=|//|\*\*|<<|>>|[<>+*/%-]|\[:-1\]"
)
_SWAPS: Mapping[str, Sequence[str]] = {
    "<": ("<=", ">", ">="),
    "<=": ("<", ">=", ">"),
    ">": (">=", "<", "<="),
    ">=": (">", "<=", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "+": ("-",),
    "-": ("+",),
    "*": ("/", "+"),
    "/": ("//", "*"),
    "//": ("/",),
    "%": ("//",),
    "+=": ("-=",),
    "-=": ("+=",),
    "and": ("or",),
    "or": ("and",),
    "not": ("",),
    "is": ("is not",),
    "is not": ("is",),
    "in": ("not in",),
    "not in": ("in",),
    "if": ("if not",),
    "while": ("while not",),
    "True": ("False",),
    "False": ("True",),
    "None": ("True", "False"),
    "min": ("max",),
    "max": ("min",),
    "any": ("all",),
    "all": ("any",),
    "break": ("continue",),
    "continue": ("break",),
    "append": ("extend",),
    "extend": ("append",),
}
_MOST_FUNCTIONS = 6
_MOST_LINES = 60
_MOST_AT_ONCE = 25

_TRY = """\
python - <<'END'
import json, subprocess, sys, time
path, tests, changes = json.loads({data!r})
lines = open(path).read().split("\\n")
end = time.time() + 24
for number, text in changes:
    if time.time() > end:
        break
    changed = [*lines[:number - 1], text, *lines[number:]]
    open(path, "w").write("\\n".join(changed))
    run = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", *tests],
                         capture_output=True, timeout=20)
    if run.returncode == 0:
        print("PASSES", path, number, text.strip())
        sys.exit()
open(path, "w").write("\\n".join(lines))
print("none of", len(changes), "changes helps")
END"""


class Repairer:
    """One conversation's worth of an assistant."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._steps: _Steps | None = None
        self._calls = 0

    def create(self, *, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
        """Answer as a chat completion API does, with one tool call.

        Args:
            messages: The conversation in OpenAI's form; the last one is the newest.
            tools: The tools in OpenAI's form.
        """
        newest = str(messages[-1]["content"])
        try:
            if self._steps is None:
                self._steps = _work(newest)
                command = next(self._steps)
            else:
                command = self._steps.send(newest)
        except StopIteration:
            return self._call(_finishing_tool(tools), {})
        name, argument = _shell_tool(tools)
        return self._call(name, {argument: command})

    def _call(self, name: str, arguments: Mapping[str, Any]) -> Message:
        self._calls += 1
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"id": f"call_{self._calls}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}


def _shell_tool(tools: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return the tool that runs commands, and its argument."""
    for tool in tools:
        properties = tool["function"]["parameters"].get("properties", {})
        for argument in ("command", "cmd", "script"):
            if argument in properties:
                return tool["function"]["name"], argument
    raise LookupError("none of the tools runs commands")


def _finishing_tool(tools: Sequence[Mapping[str, Any]]) -> str:
    """Return the tool that says of itself that it ends the work."""
    for tool in tools:
        if re.search(r"hand in|submit|finish|done", tool["function"]["description"], re.I):
            return str(tool["function"]["name"])
    raise LookupError("none of the tools ends the work")


def _work(issue: str) -> _Steps:
    """Yield shell commands, and get their output."""
    tests = list(dict.fromkeys(_TEST.findall(issue)))
    quoted = " ".join(f"'{test}'" for test in tests)
    output = yield f"python -m pytest -q -x --tb=short {quoted}".rstrip()
    tests = tests or list(dict.fromkeys(_TEST.findall(output)))
    for name in _suspects(issue, output)[:_MOST_FUNCTIONS]:
        found = yield f"grep -rnE --include='*.py' '(def|class) {name}\\b' . | head -5"
        for path, number in _definitions(found):
            source = yield f"sed -n '{number},{number + _MOST_LINES}p' '{path}'"
            solved = yield from _try_changes(path, number, source, tests)
            if solved:
                yield f"python -m pytest -q {' '.join(sorted({t.split('::')[0] for t in tests}))}"
                return


def _suspects(issue: str, output: str) -> list[str]:
    """Return names of functions: the innermost frame first, then what the test calls."""
    frames = [name for path, _, name in _FRAME.findall(output) if not _TEST_FILE.search(path)]
    calls = [name for line in f"{output}\n{issue}".splitlines() for name in _CALL.findall(line)]
    names = dict.fromkeys([*reversed(frames), *calls])
    return [name for name in names if not name.startswith(("test", "assert", "pytest"))]


def _definitions(found: str) -> Iterator[tuple[str, int]]:
    for line in found.splitlines():
        match = _PLACE.match(line)
        if match and not _TEST_FILE.search(match[1]):
            yield match[1], int(match[2])


def _try_changes(
    path: str, start: int, source: str, tests: Sequence[str]
) -> Generator[str, str, bool]:
    changes = [
        (start + offset, text)
        for offset, line in enumerate(_body(source.split("\n")))
        for text in _variants(line)
    ]
    for first in range(0, len(changes), _MOST_AT_ONCE):
        data = json.dumps([path, list(tests), changes[first : first + _MOST_AT_ONCE]])
        output = yield _TRY.format(data=data)
        if output.startswith("PASSES"):
            return True
    return False


def _body(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the definition that begins with the first one."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    for number, line in enumerate(lines):
        is_outside = line.strip() and len(line) - len(line.lstrip()) <= indent
        if number and is_outside and not line.lstrip().startswith((")", "]", "}")):
            return
        yield line


def _variants(line: str) -> Iterator[str]:
    """Yield the line with one small thing changed."""
    if line.lstrip().startswith(("#", '"', "'", "@", "def ", "class ")):
        return
    for match in _TOKEN.finditer(line):
        token = match[0]
        others = list(_SWAPS.get(token, ()))
        if token.isdigit():
            others = [str(int(token) + 1), str(int(token) - 1)]
        for other in others:
            yield line[: match.start()] + other + line[match.end() :]
    stripped = line.lstrip()
    if " = " not in stripped and stripped.startswith("return ") and " " in stripped[7:]:
        yield line.replace("return ", "return not ", 1)
