"""Outcomes: the worth of an action, told from luck."""

import itertools

import gymnasium as gym
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot_agents.accounting import TurnCounter
from pivot_agents.lazy import LazyConfig, LazyProfiler
from pivot_agents.outcomes import OutcomeRollOut, between_action_variance, profile_outcomes
from pivot_agents.policy import Context, ScriptedPolicy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.profiling import extract_candidates, select_pivots
from pivot_agents.rollout import rollout
from pivot_agents.trainers.policy_gradient import PolicyGradientConfig, PolicyGradientTrainer
from pivot_envs.drill import DrillTask
from pivot_envs.errors import InfraError, UnsavableError
from pivot_envs.tools import ToolCall
from wrappers import PivotResetWrapper

LOOK = ToolCall("look", {}).as_text()


def answer(text: str) -> str:
    return ToolCall("answer", {"text": text}).as_text()


def right(context: Context) -> str:
    return answer(DrillTask.from_id(context.task_id).solution)


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        # Q is 1 and 0 without any luck: the variance of two values, 0.5.
        ([[1, 1], [0, 0]], 0.5),
        # Q may be 0.5 and 1: between 0.25, within 0.25, so that luck explains all of it.
        ([[1, 0], [1, 1]], 0.0),
        # Means 1/2, 0, together 1/3: between 4/36 + 2/9 = 1/3, within 4 x 1/4 / (6 - 2) = 1/4,
        # size 6 - (16 + 4) / 6 = 8/3.
        ([[1, 1, 0, 0], [0, 0]], 1 / 32),
        ([[1, 1, 1, 1]], 0.0),
        ([[1], [0]], 0.5),
        ([[], [1, 1]], 0.0),
    ],
)
def test_hand_computed_variances(returns, expected) -> None:
    assert between_action_variance(returns) == pytest.approx(expected)


def test_luck_that_a_pooled_variance_takes_for_a_signal_is_taken_out() -> None:
    lucky = [[1, 0, 1, 0], [0, 1, 0, 1]]
    decisive = [[1, 1, 1, 1], [0, 0, 0, 0]]
    assert between_action_variance(lucky) == 0.0
    assert between_action_variance(decisive) == pytest.approx(0.5)


RETURNS = st.lists(
    st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=1, max_size=4), min_size=1, max_size=5
)


@settings(deadline=None)
@given(RETURNS)
def test_the_variance_does_not_depend_on_the_order_and_is_never_negative(returns) -> None:
    variance = between_action_variance(returns)
    assert variance >= 0
    assert between_action_variance(returns[::-1]) == pytest.approx(variance)
    assert between_action_variance([[0.7] * len(each) for each in returns]) == 0.0


@pytest.fixture(scope="module")
def pivots(drill):
    return extract_candidates(drill.demonstrations[:2])


def pool(drill, pivots, size: int = 4) -> EnvPool:
    return EnvPool(lambda: PivotResetWrapper(drill.make_env(), pivots), size)


def test_an_action_is_worth_what_comes_of_it(drill, pivots) -> None:
    first = itertools.cycle([LOOK, answer("wrong")])

    def script(context: Context) -> str:
        return next(first) if len(context.messages) == 1 else right(context)

    counter = TurnCounter()
    starts = [Start(options={"pivot_id": pivots[0].pivot_id})] * 4
    with pool(drill, pivots) as envs:
        episodes = OutcomeRollOut(3)(envs, ScriptedPolicy(script), starts, counter=counter)
    assert [one.return_ for one in episodes] == [1.0, 0.0, 1.0, 0.0]
    assert [len(one.transitions) for one in episodes] == [1] * 4
    assert [one.transitions[0].terminated for one in episodes] == [False, True, False, True]
    # Q is 1 and 0, tried six times each: 0.5.
    assert episodes[0].transitions[0].info["action_variance"] == pytest.approx(0.5)
    # Two turns and two more answers after each look; a wrong answer is the end.
    assert counter["train"].turns == 2 * (2 + 2) + 2


def test_luck_alone_gives_every_action_the_same_worth(drill, pivots) -> None:
    luck = itertools.cycle([True, False])

    def script(context: Context) -> str:
        if len(context.messages) == 1:
            return LOOK
        return right(context) if next(luck) else answer("wrong")

    starts = [Start(options={"pivot_id": pivots[0].pivot_id})] * 4
    with pool(drill, pivots) as envs:
        episodes = OutcomeRollOut(2)(envs, ScriptedPolicy(script), starts)
    assert [one.return_ for one in episodes] == [0.5] * 4


def test_a_profile_of_outcomes_selects_the_decisive_state(drill, pivots) -> None:
    tries = itertools.cycle([True, True, False])

    def script(context: Context) -> str:
        if len(context.messages) == 1:
            return LOOK
        return right(context) if next(tries) else answer("wrong")

    counter = TurnCounter()
    with pool(drill, pivots) as envs:
        profiled = profile_outcomes(
            pivots, envs, ScriptedPolicy(script), samples_per_state=6, counter=counter
        )
    # Looking is the only action of the first state; the second decides, by its answer.
    assert [one.profile.signal > 0 for one in profiled] == [False, True] * 2
    assert all(one.profile.variance >= 0 for one in profiled)
    assert [one.turn for one in select_pivots(profiled, max_mean=0.9)] == [1, 1]
    assert counter["profile"].turns == 2 * (6 * 2 + 6) + 2 * 6


class Failing(gym.Wrapper):
    """Loses its machinery in the second turn."""

    def step(self, action):
        if self.unwrapped.messages[-1].role == "tool":
            raise InfraError("the box is gone")
        return self.env.step(action)


def test_an_outcome_that_the_machinery_lost_is_masked(drill, pivots) -> None:
    starts = [Start(options={"pivot_id": pivots[0].pivot_id})] * 2
    with EnvPool(lambda: Failing(PivotResetWrapper(drill.make_env(), pivots)), 2) as envs:
        episodes = OutcomeRollOut()(envs, ScriptedPolicy(lambda _: LOOK), starts)
    assert [one.is_scored for one in episodes] == [False, False]


class Unsavable(gym.Wrapper):
    """Cannot be saved after the first action."""

    def snapshot(self):
        if self.unwrapped.messages[-1].role == "tool":
            raise UnsavableError("too deep")
        return self.unwrapped.snapshot()


def test_what_the_agent_made_unsavable_is_worth_what_came_of_it_once(drill, pivots) -> None:
    script = ScriptedPolicy(lambda one: LOOK if len(one.messages) == 1 else right(one))
    starts = [Start(options={"pivot_id": pivots[0].pivot_id})] * 2
    counter = TurnCounter()
    with EnvPool(lambda: Unsavable(PivotResetWrapper(drill.make_env(), pivots)), 2) as envs:
        episodes = OutcomeRollOut()(envs, script, starts, counter=counter)
    assert [one.return_ for one in episodes] == [1.0, 1.0]
    assert counter["train"].turns == 4


def test_one_continuation_is_refused() -> None:
    with pytest.raises(ValueError, match="luck"):
        OutcomeRollOut(1)


def test_lazy_training_by_outcome_learns_the_drill_without_its_demonstrations(drill) -> None:
    student, counter = drill.student(), TurnCounter()
    candidates = extract_candidates(drill.demonstrations[:32])
    config = PolicyGradientConfig(max_steps=20, learning_rate=3e-3)
    with pool(drill, candidates, 64) as envs:
        trainer = PolicyGradientTrainer(
            student,
            envs,
            config,
            counter=counter,
            curriculum=LazyProfiler(candidates, LazyConfig()),
            roll_out=OutcomeRollOut(),
        )
        list(trainer.train())
    assert drill.success_rate(student) > drill.success_rate(drill.base) + 0.1


def test_it_runs_where_rollout_does(drill) -> None:
    starts = [Start(seed) for seed in range(2)]
    plain = rollout(drill.pool, ScriptedPolicy(right), starts)
    judged = OutcomeRollOut()(drill.pool, ScriptedPolicy(right), starts)
    assert [one.return_ for one in judged] == [one.return_ for one in plain] == [1.0, 1.0]
