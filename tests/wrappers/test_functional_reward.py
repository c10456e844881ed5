"""FunctionalReward: rewarding what an action does."""

import gymnasium as gym
import pytest

from pivot_envs.core import Effect, PivotEnv, ToolResult
from pivot_envs.drill import DrillEnv, DrillTask
from pivot_envs.errors import InfraError
from pivot_envs.tools import ToolCall
from wrappers import FunctionalReward, Pivot, PivotResetWrapper

LOOK = ToolCall("look", {}).as_text()
TASK_ID = "reverse-3-1"


def answer(text: str) -> str:
    return ToolCall("answer", {"text": text}).as_text()


class FailingEnv(DrillEnv):
    """Fails in its machinery when it is looked at or when its state is read, as told."""

    failing: str | None = None

    def _act(self, call: ToolCall) -> ToolResult:
        if self.failing == "act":
            raise InfraError("the box is gone")
        return super()._act(call)

    def _state_digest(self) -> str:
        if self.failing == "digest":
            raise InfraError("the box is gone")
        return super()._state_digest()


def make_env(core: PivotEnv, demonstration: str) -> FunctionalReward:
    """Wrap ``core`` so that it starts at one pivot, at which ``demonstration`` was done."""
    core.reset(options={"task_id": TASK_ID})
    snapshot = core.snapshot()
    core.step(demonstration)
    pivot = Pivot("p", "t", 0, snapshot, demonstration, core.effect(), "any")
    return FunctionalReward(PivotResetWrapper(core, [pivot]))


def test_doing_the_same_in_other_words_is_rewarded() -> None:
    env = make_env(DrillEnv(), answer(DrillTask.from_id(TASK_ID).solution))
    env.reset()
    spaced = "  ".join(DrillTask.from_id(TASK_ID).solution)
    _, reward, terminated, _, info = env.step(answer(spaced))
    assert (reward, terminated, info["is_success"]) == (1.0, True, True)


def test_doing_something_else_is_not_rewarded() -> None:
    env = make_env(DrillEnv(), LOOK)
    env.reset()
    _, reward, terminated, truncated, info = env.step(answer(DrillTask.from_id(TASK_ID).solution))
    assert (reward, terminated, truncated, info["is_success"]) == (0.0, True, False, False)


def test_only_the_first_action_is_rewarded_and_success_lasts() -> None:
    env = make_env(DrillEnv(), LOOK)
    for _ in range(2):
        env.reset()
        steps = [env.step(LOOK) for _ in range(3)]
        assert [step[1] for step in steps] == [1.0, 0.0, 0.0]
        assert [step[4]["is_success"] for step in steps] == [True, True, True]


def test_a_later_right_action_does_not_make_up_for_the_first() -> None:
    env = make_env(DrillEnv(), LOOK)
    env.reset()
    steps = [env.step(action) for action in ("junk", LOOK)]
    assert [step[1] for step in steps] == [0.0, 0.0]
    assert [step[4]["is_success"] for step in steps] == [False, False]


def test_an_invalid_call_is_never_rewarded() -> None:
    core = DrillEnv()
    core.reset(options={"task_id": TASK_ID})
    snapshot = core.snapshot()
    nothing = Effect(core.effect().state_digest, frozenset(), False)
    pivot = Pivot("p", "t", 0, snapshot, "{}", nothing, "any")
    env = FunctionalReward(PivotResetWrapper(core, [pivot]))
    env.reset()
    assert env.step("junk")[1] == 0.0


def test_an_episode_that_starts_elsewhere_keeps_its_rewards() -> None:
    env = make_env(DrillEnv(), LOOK)
    env.reset(options={"task_id": TASK_ID})
    _, reward, _, _, info = env.step(answer(DrillTask.from_id(TASK_ID).solution))
    assert (reward, info["is_success"]) == (1.0, True)


@pytest.mark.parametrize("failing", ["act", "digest"])
def test_a_failure_of_the_machinery_stays_marked(failing: str) -> None:
    core = FailingEnv()
    env = make_env(core, LOOK)
    env.reset()
    core.failing = failing
    _, reward, _, truncated, info = env.step(LOOK)
    assert (reward, truncated, info["is_success"]) == (0.0, True, False)
    assert info["infra_error"] == "InfraError: the box is gone"


def test_it_needs_a_pivot_start_inside() -> None:
    with pytest.raises(ValueError, match="needs a PivotResetWrapper inside"):
        FunctionalReward(DrillEnv())


def test_it_needs_a_pivot_env_at_the_core() -> None:
    core = DrillEnv()
    core.reset(seed=0)
    pivot = Pivot("p", "t", 0, core.snapshot(), LOOK, core.effect(), "look")
    other = PivotResetWrapper(gym.make("CartPole-v1"), [pivot])
    with pytest.raises(ValueError, match="needs a PivotEnv at the core"):
        FunctionalReward(other)


def test_the_spec_of_the_wrapped_environment_works() -> None:
    core = gym.make("pivot/Drill-v0").unwrapped
    assert isinstance(core, PivotEnv)
    env = gym.wrappers.TimeLimit(make_env(core, LOOK), 1)
    assert env.spec is not None
    again = gym.make(env.spec)
    again.reset()
    assert again.step(LOOK)[1:4] == (1.0, False, True)
