"""What a check throws at an environment: bad actions, odd arguments, damaged snapshots."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pivot_envs.snapshot import Snapshot
from pivot_envs.tools import ToolCall, ToolSpec

BAD_TEXTS = (
    "",
    "no tool call",
    "\x00",
    "\ud800",
    "null",
    "NaN",
    "[]",
    "{}",
    "9" * 5_000,
    "[" * 100_000,
    '{"a":' * 50_000,
    '{"name": 7}',
    '{"name": "no such tool", "arguments": {}}',
    '{"name": "\\ud800", "arguments": {}}',
)

_ODD_VALUES: Mapping[str, Sequence[Any]] = {
    "string": ("", "\ud800", "a\x00b", "../../é\n", "x" * 10_000),
    "integer": (0, -1, 10**30, 1, 2),
    "number": (0.0, -1, float("nan"), float("inf"), 1e300),
    "boolean": (True, False, True, False, True),
    "array": ([], [None], ["\ud800"], [[]], [{}]),
    "object": ({}, {"": None}, {"\ud800": 1}, {"a": {}}, {"a": []}),
}
_ODD_COUNT = 5


def bad_actions(tools: Sequence[ToolSpec]) -> Iterator[str]:
    """Yield texts that are no valid call of any of ``tools``."""
    yield from BAD_TEXTS
    for tool in tools:
        yield json.dumps({"name": tool.name, "arguments": []})
        yield json.dumps({"name": tool.name, "arguments": {}, "comment": ""})
        yield json.dumps({"name": tool.name, "arguments": {"no such argument": 1}})
        good = _arguments(tool, 0)
        for name, schema in tool.parameters.get("properties", {}).items():
            wrong = 1 if schema["type"] == "string" else "text"
            yield json.dumps({"name": tool.name, "arguments": {**good, name: wrong}})
            yield json.dumps({"name": tool.name, "arguments": {**good, name: None}})
        for name in tool.parameters.get("required", ()):
            rest = {key: value for key, value in good.items() if key != name}
            yield json.dumps({"name": tool.name, "arguments": rest})


def odd_actions(tools: Sequence[ToolSpec]) -> Iterator[str]:
    """Yield valid calls with arguments that few expect."""
    for tool in tools:
        if tool.parameters.get("properties"):
            for index in range(_ODD_COUNT):
                yield ToolCall(tool.name, _arguments(tool, index)).as_text()


def damaged_snapshots(snapshot: Snapshot) -> Iterator[tuple[str, object]]:
    """Yield what was done, and ``snapshot`` after it; none of them may be resumed."""
    yield "it is a dict", snapshot.manifest()
    yield "the observation was changed", replace(snapshot, observation="tampered")
    yield "the turns were changed", replace(snapshot, elapsed_turns=snapshot.elapsed_turns + 1)
    yield "the task was changed", replace(snapshot, task_id=snapshot.task_id + "0")
    yield "a message was dropped", replace(snapshot, messages=snapshot.messages[:-1])
    yield "the state was changed", replace(snapshot, state={**snapshot.state, "tampered": 1})
    for name, content in list(snapshot.blobs.items())[:1]:
        rest = {key: blob for key, blob in snapshot.blobs.items() if key != name}
        yield "a blob was changed", replace(snapshot, blobs={**rest, name: content + b"x"})
        yield "a blob was dropped", replace(snapshot, blobs=rest)
    yield "it is of another environment", _signed(snapshot, env_id="other/Env-v0")
    yield "it was made with other arguments", _signed(snapshot, env_kwargs={"other": 1})
    yield "its task was replaced", _signed(snapshot, task_hash="0" * 64)
    yield "its task is unknown", _signed(snapshot, task_id="no such task")
    yield "no turn is left", _signed(snapshot, elapsed_turns=10**9)
    yield "its turns are negative", _signed(snapshot, elapsed_turns=-1)
    yield "its state is empty", _signed(snapshot, state={})
    yield "its generator is empty", _signed(snapshot, state={**snapshot.state, "np_random": {}})
    if snapshot.state["env"]:
        yield (
            "the environment's state is empty",
            _signed(snapshot, state={**snapshot.state, "env": {}}),
        )


def _arguments(tool: ToolSpec, index: int) -> dict[str, Any]:
    properties = tool.parameters.get("properties", {})
    return {
        name: schema["enum"][0] if "enum" in schema else _ODD_VALUES[schema["type"]][index]
        for name, schema in properties.items()
    }


def _signed(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """Return a changed snapshot whose digest fits, as a careless tool would write it."""
    changed = replace(snapshot, **changes)
    return replace(changed, digest=changed.computed_digest())
