from dataclasses import replace

import gymnasium as gym
import pytest
import torch

from pivot_agents.accounting import TurnCounter
from pivot_agents.pool import EnvPool
from pivot_agents.profiling import extract_candidates, profile, select_pivots
from pivot_agents.trainers.policy_gradient import PolicyGradientConfig, PolicyGradientTrainer
from pivot_envs.errors import InfraError
from wrappers import FunctionalReward, PivotResetWrapper

CONFIG = PolicyGradientConfig(max_steps=20, learning_rate=3e-3, seed=1)


def test_end_to_end_training_learns_the_drill(drill):
    before = drill.success_rate(drill.base)
    student = drill.student()
    trainer = PolicyGradientTrainer(student, drill.pool, CONFIG)
    metrics = list(trainer.train())
    assert before < 0.5
    assert drill.success_rate(student) > before + 0.15
    rewards = [one.reward_mean for one in metrics]
    assert sum(rewards[-5:]) > sum(rewards[:5]) + 0.25
    assert trainer.counter["train"].turns == sum(one.turns for one in metrics)
    assert metrics[-1].kl > 0


def test_pivot_training_learns_the_drill_from_one_turn_rollouts(drill):
    student, counter = drill.student(), TurnCounter()
    # With half of them and three times the rate it learned them by heart on some machines.
    candidates = extract_candidates(drill.demonstrations[:96])
    with EnvPool(lambda: pivot_env(drill, candidates), 64) as pool:
        pivots = select_pivots(profile(candidates, pool, student, counter=counter))
    config = replace(CONFIG, horizon=1, max_steps=40, learning_rate=1e-3)
    with EnvPool(lambda: pivot_env(drill, pivots), 64) as pool:
        list(PolicyGradientTrainer(student, pool, config, counter=counter).train())
    assert drill.success_rate(student) > drill.success_rate(drill.base) + 0.15
    assert counter["profile"].turns == 8 * len(candidates)
    assert counter["train"].turns == 40 * 64
    assert counter.learning.turns == counter["profile"].turns + counter["train"].turns


def pivot_env(drill, pivots):
    return FunctionalReward(PivotResetWrapper(drill.make_env(), pivots))


def test_a_resumed_run_gives_the_same_curve(drill, tmp_path):
    config = replace(CONFIG, max_steps=6, groups_per_step=2, group_size=4, updates_per_step=2)
    whole = list(PolicyGradientTrainer(drill.student(), drill.pool, config).train())
    first = PolicyGradientTrainer(drill.student(), drill.pool, replace(config, max_steps=3))
    start = list(first.train())
    first.save(tmp_path / "checkpoint.pt")
    second = PolicyGradientTrainer(drill.student(), drill.pool, config)
    second.load(tmp_path / "checkpoint.pt")
    assert start + list(second.train()) == whole
    assert second.counter["train"].turns == sum(one.turns for one in whole)


def test_without_a_kl_coefficient_no_reference_is_asked(drill):
    config = replace(CONFIG, max_steps=1, groups_per_step=2, group_size=4, kl_coef=0.0)
    (metrics,) = PolicyGradientTrainer(drill.student(), drill.pool, config).train()
    assert metrics.trained_tokens > 0
    assert metrics.kl == 0


def test_training_ends_with_its_turn_budget(drill):
    config = replace(CONFIG, max_steps=None, turn_budget=20, groups_per_step=1, group_size=8)
    trainer = PolicyGradientTrainer(drill.student(), drill.pool, config)
    assert len(list(trainer.train())) == 2
    assert trainer.is_done


def test_groups_without_variance_cost_turns_and_change_nothing(drill, tiny_policy):
    student = tiny_policy.with_adapter()
    config = replace(CONFIG, max_steps=1, groups_per_step=2, group_size=2)
    before = {name: value.clone() for name, value in student.model.state_dict().items()}
    (metrics,) = PolicyGradientTrainer(student, drill.pool, config).train()
    assert metrics.zero_variance_share == 1
    assert metrics.trained_tokens == 0
    assert metrics.turns == 8
    assert all(
        torch.equal(before[name], value) for name, value in student.model.state_dict().items()
    )


class Failing(gym.Wrapper):
    """Loses its machinery in every second episode."""

    resets = 0

    def reset(self, **arguments):
        Failing.resets += 1
        if Failing.resets % 2:
            raise InfraError("the sandbox is gone")
        return self.env.reset(**arguments)


def test_episodes_that_the_machinery_failed_are_masked(drill):
    config = replace(CONFIG, max_steps=1, groups_per_step=2, group_size=4)
    with EnvPool(lambda: Failing(drill.make_env()), 1) as pool:
        (metrics,) = PolicyGradientTrainer(drill.student(), pool, config).train()
    assert metrics.infra_errors == 4
    assert metrics.turns == 8


class Down(gym.Wrapper):
    """Has lost its machinery for good."""

    def reset(self, **arguments):
        raise InfraError("the engine is gone")


def test_training_ends_with_the_reason_where_no_episode_can_begin(drill):
    config = replace(CONFIG, max_steps=None, turn_budget=20, groups_per_step=1, group_size=2)
    with EnvPool(lambda: Down(drill.make_env()), 2) as pool:
        trainer = PolicyGradientTrainer(drill.student(), pool, config)
        with pytest.raises(InfraError, match=r"could begin: InfraError: the engine is gone"):
            list(trainer.train())


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"max_steps": None}, "never end"), ({"group_size": 1}, "at least 2")],
)
def test_settings_that_cannot_work_are_refused(drill, changes, message):
    with pytest.raises(ValueError, match=message):
        PolicyGradientTrainer(drill.student(), drill.pool, replace(CONFIG, **changes))


def test_a_greedy_policy_is_refused(drill):
    with pytest.raises(ValueError, match="temperature 1"):
        PolicyGradientTrainer(drill.student().greedy(), drill.pool, CONFIG)
