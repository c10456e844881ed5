"""DrillEnv, the smallest environment that keeps the contract: look at something, then answer."""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from pivot_envs.core import PivotEnv, ToolResult
from pivot_envs.errors import SnapshotError, TaskError
from pivot_envs.snapshot import sha256
from pivot_envs.tools import ToolCall, ToolSpec

Family = Literal["lookup", "reverse"]

WORDS = tuple(
    re.findall(
        r"[a-z]+",
        """
        bado befi bimu boka cavu cede dalo dimi dufa fago fenu fiko gami gelo gopu hada hevi hilu
        jabo jemi joru kade kilo kuna lavi leto lomu mafi mero miba nado neki nuva pami pelo piru
        rado refu ruki sabi seto sumo tava temi tolu vado veni vuka wabi welo wimu yado yefi yoku
        zami zelo zuri bruna clavi drome
        """,
    )
)
MAX_SIZE = len(WORDS)

_TASK_ID = re.compile(r"(lookup|reverse)-([1-9]\d{0,3})-(0|[1-9]\d{0,18})")

LOOK = ToolSpec("look", "Show the list.", {"type": "object", "properties": {}})
ANSWER = ToolSpec(
    "answer",
    "Give the answer; this ends the task.",
    {
        "type": "object",
        "properties": {"text": {"type": "string", "description": "The answer."}},
        "required": ["text"],
    },
)


@dataclass(frozen=True, slots=True)
class DrillTask:
    """One drill, wholly given by its id."""

    question: str
    lines: tuple[str, ...]
    """What ``look`` shows."""
    solution: str

    @classmethod
    def from_id(cls, task_id: str) -> "DrillTask":
        """Return the drill named ``<family>-<size>-<seed>``, such as ``lookup-4-17``.

        Raises:
            TaskError: The id is not of that form or the size is out of range.
        """
        match = _TASK_ID.fullmatch(task_id) if isinstance(task_id, str) else None
        if match is None or int(match[2]) > MAX_SIZE:
            raise TaskError(
                f"expected a task id like 'lookup-4-17' or 'reverse-4-17' with a size of 1 to "
                f"{MAX_SIZE}, got {task_id!r:.80}"
            )
        # Only random() is promised to draw the same in every Python release.
        generator = random.Random(task_id)
        size = int(match[2])
        if match[1] == "reverse":
            digits = [str(int(generator.random() * 10)) for _ in range(size)]
            return cls("Reverse the list.", (" ".join(digits),), " ".join(reversed(digits)))
        keys = sorted(WORDS, key=lambda _: generator.random())[:size]
        values = [WORDS[int(generator.random() * len(WORDS))] for _ in keys]
        chosen = int(generator.random() * size)
        lines = tuple(f"{key}={value}" for key, value in zip(keys, values, strict=True))
        return cls(f"What is the value of {keys[chosen]}?", lines, values[chosen])


class DrillEnv(PivotEnv):
    """A two-turn drill: ``look()`` shows a list, ``answer(text)`` ends the episode.

    Families: ``lookup`` asks for the value of one of ``size`` keys, ``reverse`` for the list of
    ``size`` digits backwards. Answering without looking is allowed and most likely wrong.

    Rewards: 1.0 for the right answer, compared word by word, else 0.0.

    Task ids are ``<family>-<size>-<seed>`` and hold everything, so any id can be named in any
    DrillEnv; without one, a task of the constructor's family and size is drawn.
    """

    tools = (LOOK, ANSWER)

    def __init__(
        self,
        *,
        family: Family = "lookup",
        size: int = 4,
        max_turns: int = 4,
        render_mode: str | None = None,
    ) -> None:
        """Create the environment.

        Args:
            family: ``lookup`` or ``reverse``.
            size: Number of pairs or digits, 1 to ``MAX_SIZE``.
            max_turns: Turns after which an episode is truncated.
            render_mode: ``ansi`` or ``None``.

        Raises:
            ValueError: An argument is out of range.
        """
        if family not in get_args(Family):
            raise ValueError(f"family must be one of {get_args(Family)}, got {family!r}")
        if not 1 <= size <= MAX_SIZE:
            raise ValueError(f"size must be 1 to {MAX_SIZE}, got {size}")
        super().__init__(max_turns=max_turns, render_mode=render_mode)
        self._family = family
        self._size = size
        self._task = DrillTask("", (), "")
        self._looked = False
        self._answer: str | None = None

    def sample_action(self) -> str:
        """Draw a valid action with the action space's generator; most look, some answer."""
        generator = self.action_space.np_random
        if generator.random() < 0.75:
            return ToolCall("look", {}).as_text()
        return ToolCall("answer", {"text": WORDS[generator.integers(len(WORDS))]}).as_text()

    def render(self) -> str | None:
        """Return the conversation as text, or ``None`` without a render mode."""
        if self.render_mode is None:
            return None
        return "\n".join(f"[{message.role}] {message.content}" for message in self.messages)

    def _begin(self, task_id: str | None) -> tuple[str, str]:
        if task_id is None:
            task_id = f"{self._family}-{self._size}-{self.np_random.integers(2**31)}"
        self._task = DrillTask.from_id(task_id)
        self._looked = False
        self._answer = None
        return task_id, self._task.question

    def _act(self, call: ToolCall) -> ToolResult:
        if call.name == "look":
            self._looked = True
            return ToolResult("\n".join(self._task.lines), facts=frozenset(self._task.lines))
        self._answer = " ".join(call.arguments["text"].split())
        if self._answer == self._task.solution:
            return ToolResult("right", reward=1.0, terminated=True)
        return ToolResult("wrong", terminated=True)

    def _save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        return {"looked": self._looked}, {}

    def _load(self, task_id: str, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> None:
        if not isinstance(state["looked"], bool):
            raise SnapshotError(f"state['looked'] must be a bool, got {state['looked']!r:.60}")
        self._task = DrillTask.from_id(task_id)
        self._looked = state["looked"]
        self._answer = None

    def _state_digest(self) -> str:
        state = [self.task_id, self._looked, self._answer]
        return sha256(json.dumps(state).encode("ascii"))

    def _task_hash(self, task_id: str) -> str:
        try:
            task = DrillTask.from_id(task_id)
        except TaskError as error:
            raise SnapshotError(str(error)) from error
        return sha256(json.dumps(asdict(task)).encode("ascii"))
