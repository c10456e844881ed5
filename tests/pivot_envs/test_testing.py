"""check_pivot_env: it passes what is right and names the law that is broken."""

import functools
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import pytest

from pivot_envs import testing
from pivot_envs.core import PivotEnv, ToolResult
from pivot_envs.drill import LOOK, DrillEnv
from pivot_envs.errors import InfraError
from pivot_envs.snapshot import sha256
from pivot_envs.tools import ToolCall, ToolSpec

MARK = ToolSpec(
    "mark",
    "Add.",
    {"type": "object", "properties": {"at": {"type": "integer"}}, "required": ["at"]},
)


class RaisingEnv(DrillEnv):
    """Raises on bad text."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if not action.startswith("{"):
            raise RuntimeError("no JSON")
        return super().step(action)


class LenientEnv(DrillEnv):
    """Takes bad text as looking."""

    def _run(self, action: str) -> tuple[ToolResult, str | None, str | None]:
        result, _, infra_error = super()._run(action)
        return result, None, infra_error


class FragileEnv(DrillEnv):
    """Raises on text that cannot be encoded."""

    def _act(self, call: ToolCall) -> ToolResult:
        call.arguments.get("text", "").encode()
        return super()._act(call)


class BrittleEnv(DrillEnv):
    """Breaks its machinery on long text."""

    def _act(self, call: ToolCall) -> ToolResult:
        if len(call.arguments.get("text", "")) > 1_000:
            raise InfraError("too long")
        return super()._act(call)


class OpenEnv(DrillEnv):
    """Ignores unknown options."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        known = {key: value for key, value in (options or {}).items() if key == "snapshot"}
        return super().reset(seed=seed, options=known)


class SilentEnv(DrillEnv):
    """Leaves a key out of its info."""

    def _info(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        info = super()._info(*args, **kwargs)
        return {key: value for key, value in info.items() if key != "is_success"}


class SwollenEnv(DrillEnv):
    """Gives a number as a text."""

    def _info(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**super()._info(*args, **kwargs), "elapsed_turns": "1"}


class BrokenBoxEnv(DrillEnv):
    """Fails in its machinery from the second turn on."""

    def _act(self, call: ToolCall) -> ToolResult:
        if self._elapsed_turns:
            raise InfraError("the box is gone")
        return super()._act(call)


class BriefEnv(DrillEnv):
    """Ends after one turn."""

    def _act(self, call: ToolCall) -> ToolResult:
        return ToolResult("over", terminated=True)


class CountingEnv(PivotEnv):
    """Counts its marks, keeps them in a blob, and offers no ``sample_action``."""

    tools = (MARK, LOOK)
    shared: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__(max_turns=5)
        self._marks = 0

    def _begin(self, task_id: str | None) -> tuple[str, str]:
        if task_id not in (None, "only"):
            raise ValueError(f"the only task is 'only', got {task_id!r}")
        self._marks = 0
        return "only", "Mark."

    def _act(self, call: ToolCall) -> ToolResult:
        self._marks += 1
        return ToolResult(f"{self._marks} marks")

    def _save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        content = b"." * self._marks
        return {"marks": sha256(content)}, {sha256(content): content}

    def _load(self, task_id: str, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> None:
        self._marks = len(blobs[state["marks"]])

    def _state_digest(self) -> str:
        return sha256(b"." * self._marks)

    def _task_hash(self, task_id: str) -> str:
        return sha256(task_id.encode())


class HelplessEnv(CountingEnv):
    """Has no tool that could be called without arguments."""

    tools = (MARK,)


@pytest.mark.parametrize(
    ("env_class", "law"),
    [
        (RaisingEnv, testing.LAW_BAD_ACTIONS),
        (LenientEnv, testing.LAW_BAD_ACTIONS),
        (FragileEnv, testing.LAW_ODD_ACTIONS),
        (BrittleEnv, testing.LAW_ODD_ACTIONS),
        (OpenEnv, testing.LAW_OPTIONS),
        (SilentEnv, testing.LAW_INFO),
        (SwollenEnv, testing.LAW_INFO),
        (BrokenBoxEnv, testing.LAW_MACHINERY),
        (BriefEnv, testing.LAW_LONG_ENOUGH),
    ],
)
def test_a_broken_environment_is_caught_with_the_law_it_breaks(
    env_class: type[DrillEnv], law: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        testing.check_pivot_env(env_class, check_process=False)
    assert str(caught.value).startswith(law)


def test_a_sound_environment_with_blobs_passes() -> None:
    testing.check_pivot_env(CountingEnv, turns=4, check_process=False)


def test_a_wrapped_environment_passes() -> None:
    make_env = functools.partial(gym.make, "pivot/Drill-v0", family="reverse", max_turns=3)
    testing.check_pivot_env(make_env, turns=2)


def test_actions_may_be_proposed_from_outside() -> None:
    seen = []

    def look(env: PivotEnv) -> str:
        seen.append(env.task_id)
        return ToolCall("look", {}).as_text()

    testing.check_pivot_env(DrillEnv, actions=look, seed=4, check_process=False)
    assert len(seen) == 3


def test_a_check_that_cannot_be_made_says_so() -> None:
    with pytest.raises(ValueError, match="turns must be at least 2"):
        testing.check_pivot_env(DrillEnv, turns=1)
    with pytest.raises(ValueError, match="make_env must be picklable"):
        testing.check_pivot_env(lambda: DrillEnv())
    with pytest.raises(ValueError, match="HelplessEnv has no sample_action"):
        testing.check_pivot_env(HelplessEnv, check_process=False)
    with pytest.raises(TypeError, match="expected a PivotEnv"):
        testing.check_pivot_env(functools.partial(gym.make, "CartPole-v1"), check_process=False)
