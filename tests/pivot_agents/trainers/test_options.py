"""The published switches of the policy gradient, on a random model that is often right."""

import functools
from dataclasses import replace

import gymnasium as gym
import pytest
import torch

from pivot_agents import lora
from pivot_agents.pool import EnvPool
from pivot_agents.trainers.policy_gradient import PolicyGradientConfig, PolicyGradientTrainer

CONFIG = PolicyGradientConfig(
    max_steps=2, groups_per_step=3, group_size=4, learning_rate=1e-2, kl_coef=0.1
)


class OddLength(gym.Wrapper):
    """Rewards every action of odd length."""

    def step(self, action):
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, float(len(action) % 2), terminated, truncated, info


def make_env(max_turns=2):
    return OddLength(gym.make("pivot/Drill-v0", max_turns=max_turns, disable_env_checker=True))


@pytest.fixture
def train(tiny_policy):
    """Train a fresh student; returns its metrics and its weights."""

    def run(max_turns=2, **changes):
        student = tiny_policy.with_adapter()
        with EnvPool(functools.partial(make_env, max_turns), 4) as pool:
            trainer = PolicyGradientTrainer(student, pool, replace(CONFIG, **changes))
            metrics = list(trainer.train())
        weights = torch.cat([one.detach().flatten() for one in lora.trainable(student.model)])
        return metrics, weights

    return run


@pytest.mark.parametrize(
    "changes",
    [
        {"advantage": "mean"},
        {"advantage": "leave_one_out"},
        {"advantage": "none"},
        {"aggregation": "sequence"},
        {"aggregation": "constant"},
        {"ratio": "sequence", "clip_low": 3e-4, "clip_high": 4e-4},
        {"clip_low": 0.01, "clip_high": 0.02},
        {"kl_coef": 0.0},
        {"anchors_silent": True},
    ],
)
def test_every_option_trains_and_changes_what_is_learned(train, changes):
    changes = {"updates_per_step": 3, **changes}
    metrics, weights = train(**changes)
    _, usual = train(updates_per_step=3)
    assert all(one.trained_tokens > 0 for one in metrics)
    assert weights.isfinite().all()
    assert not torch.equal(weights, usual)


@pytest.mark.parametrize("aggregation", ["token", "sequence", "constant"])
def test_groups_that_teach_nothing_make_the_gradient_smaller_if_they_count(train, aggregation):
    options = {"max_steps": 1, "kl_coef": 0.0, "aggregation": aggregation, "grad_clip": 1e9}
    (usual,), _ = train(**options)
    (counted,), _ = train(**options, counts_silent=True)
    assert 0 < usual.zero_variance_share < 1
    assert counted.trained_tokens == usual.trained_tokens
    share = counted.gradient_norm / usual.gradient_norm
    if aggregation == "token":
        assert share == pytest.approx(usual.trained_tokens / usual.generated_tokens, rel=1e-4)
    else:
        assert share == pytest.approx(1 - usual.zero_variance_share, rel=1e-4)


def test_groups_that_teach_nothing_are_in_the_loss_if_they_hold_the_policy(train):
    (usual,), _ = train(max_steps=1)
    (held,), _ = train(max_steps=1, anchors_silent=True)
    assert held.trained_tokens == held.generated_tokens > usual.trained_tokens
    assert held.zero_variance_share == usual.zero_variance_share
    with pytest.raises(ValueError, match="anchors_silent needs a kl_coef"):
        train(max_steps=1, anchors_silent=True, kl_coef=0.0)


def test_micro_batches_add_up_to_one_batch(train):
    (whole,), whole_weights = train(max_steps=1, micro_batch_tokens=100_000)
    (parts,), parts_weights = train(max_steps=1, micro_batch_tokens=60)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5, abs=1e-7)
    assert parts.gradient_norm == pytest.approx(whole.gradient_norm, rel=1e-5)
    # Adam divides by the gradient's own size, which makes more of rounding where that is small.
    assert (parts_weights - whole_weights).norm() < 1e-5 * whole_weights.norm()


def test_truncated_episodes_can_be_masked(train):
    (first, *_), _ = train(mask_truncated=True)
    (usual, *_), _ = train()
    assert first.masked_truncations > 0
    assert usual.masked_truncations == 0
    assert first.trained_tokens < usual.trained_tokens
    assert first.reward_mean == usual.reward_mean


def test_sampling_in_half_precision_trains_in_full(train, tiny_policy, monkeypatch):
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no bfloat16 arithmetic")
    student = tiny_policy.with_adapter()
    rounded = type(student)(
        student.model, student.chat.tokenizer, max_new_tokens=8, sampling_dtype=torch.bfloat16
    )
    assert not rounded.samples_exactly
    with EnvPool(make_env, 4) as pool:
        metrics = list(PolicyGradientTrainer(rounded, pool, CONFIG).train())
    assert student.model.dtype == torch.float32
    assert metrics[0].trained_tokens > 0
    # Old log-probabilities are computed once more, so nothing is clipped in a first update.
    assert metrics[0].clipped_share == 0


@pytest.mark.parametrize("name", ["advantage", "aggregation", "ratio"])
def test_an_unknown_name_is_refused(train, name):
    with pytest.raises(ValueError, match=f"expected {name} to be one of"):
        train(**{name: "other"})
