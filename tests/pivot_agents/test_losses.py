import math

import pytest
import torch

from pivot_agents.losses import (
    clipped_policy_gradient,
    cross_entropy,
    group_advantages,
    is_mixed,
    kl_to_reference,
    probability_ratios,
    token_weights,
)


def test_advantages_compare_with_the_group_in_standard_deviations():
    # Group 0: one success of four, mean 1/4, standard deviation sqrt(3)/4.
    rewards = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    groups = torch.tensor([0, 0, 0, 0, 1, 1])
    expected = [math.sqrt(3), *[-1 / math.sqrt(3)] * 3, 1.0, -1.0]
    result = group_advantages(rewards, groups, eps=0.0)
    torch.testing.assert_close(result, torch.tensor(expected))


def test_advantages_of_kind_mean_are_only_centred():
    rewards, groups = torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.zeros(4, dtype=torch.int64)
    expected = torch.tensor([0.75, -0.25, -0.25, -0.25])
    torch.testing.assert_close(group_advantages(rewards, groups, "mean"), expected)


def test_advantages_that_leave_one_out_compare_with_the_others():
    # The others' means are 1/3 for the one with 1, 2/3 for those with 0, and 1/3 again.
    rewards, groups = torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.zeros(4, dtype=torch.int64)
    expected = torch.tensor([2 / 3, -2 / 3, -2 / 3, 2 / 3])
    torch.testing.assert_close(group_advantages(rewards, groups, "leave_one_out"), expected)


def test_a_group_of_one_has_nothing_to_be_compared_with():
    rewards, groups = torch.tensor([1.0]), torch.tensor([0])
    assert group_advantages(rewards, groups, "leave_one_out").tolist() == [0.0]


def test_advantages_without_a_baseline_are_the_rewards():
    rewards, groups = torch.tensor([1.0, 1.0, 0.5]), torch.tensor([0, 0, 1])
    assert group_advantages(rewards, groups, "none").tolist() == [1.0, 1.0, 0.5]


@pytest.mark.parametrize("kind", ["std", "mean", "leave_one_out"])
def test_a_group_of_equal_rewards_has_no_advantage_at_all(kind):
    # The mean of three times 0.1 is not 0.1 in float32.
    rewards, groups = torch.tensor([0.1, 0.1, 0.1]), torch.zeros(3, dtype=torch.int64)
    assert group_advantages(rewards, groups, kind).tolist() == [0.0, 0.0, 0.0]
    assert is_mixed(rewards, groups).tolist() == [False] * 3


def test_advantages_of_no_episodes_are_empty():
    nothing = torch.tensor([])
    assert len(group_advantages(nothing, torch.tensor([], dtype=torch.int64))) == 0


def test_a_group_number_may_be_missing():
    rewards, groups = torch.tensor([1.0, 0.0]), torch.tensor([2, 2])
    assert group_advantages(rewards, groups, eps=0.0).tolist() == [1.0, -1.0]


def test_the_policy_gradient_is_clipped_only_where_that_makes_it_smaller():
    ratios = torch.tensor([1.0, 1.5, 0.5, 1.5, 0.5])
    advantages = torch.tensor([2.0, 2.0, 2.0, -2.0, -2.0])
    loss = clipped_policy_gradient(ratios, advantages, clip_low=0.2, clip_high=0.28)
    torch.testing.assert_close(loss, torch.tensor([-2.0, -2.56, -1.0, 3.0, 1.6]))


def test_the_policy_gradient_raises_the_probability_of_good_tokens():
    logprobs = torch.tensor([-1.0, -1.0], requires_grad=True)
    advantages = torch.tensor([1.0, -3.0])
    ratios = probability_ratios(logprobs, logprobs.detach())
    clipped_policy_gradient(ratios, advantages, clip_low=0.2, clip_high=0.2).sum().backward()
    assert logprobs.grad.tolist() == [-1.0, 3.0]


def test_the_ratio_of_a_sequence_is_the_geometric_mean_of_its_tokens():
    # Sequence 0: 2 and 1/8, so sqrt(1/4); sequence 1: 3 alone.
    old = torch.tensor([0.25, 0.5, 0.2]).log()
    new = torch.tensor([0.5, 0.0625, 0.6]).log()
    sequences = torch.tensor([0, 0, 1])
    torch.testing.assert_close(probability_ratios(new, old), torch.tensor([2.0, 0.125, 3.0]))
    expected = torch.tensor([0.5, 0.5, 3.0])
    torch.testing.assert_close(probability_ratios(new, old, sequences), expected)


def test_every_token_of_a_sequence_bears_a_part_of_its_ratios_gradient():
    # Equation 10 of GSPO: the gradient is that of the mean log-probability, times s A.
    logprobs = torch.tensor([-1.0, -1.0, -2.0], requires_grad=True)
    sequences, weights = torch.tensor([0, 0, 1]), token_weights(torch.tensor([2, 1]), "sequence")
    ratios = probability_ratios(logprobs, logprobs.detach(), sequences)
    advantages = torch.tensor([3.0, 3.0, -1.0])
    loss = clipped_policy_gradient(ratios, advantages, clip_low=3e-4, clip_high=4e-4)
    (loss * weights[sequences]).sum().backward()
    torch.testing.assert_close(logprobs.grad, torch.tensor([-0.75, -0.75, 0.5]))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("token", [1 / 4, 1 / 4]),  # 1 + 3 tokens
        ("sequence", [1 / 2, 1 / 6]),  # half of the loss for each of two sequences
        ("constant", [1 / 20, 1 / 20]),  # two sequences of at most ten tokens
    ],
)
def test_tokens_weigh_as_their_aggregation_says(kind, expected):
    lengths = torch.tensor([1, 3])
    weights = token_weights(lengths, kind, max_tokens=10)
    torch.testing.assert_close(weights, torch.tensor(expected))


@pytest.mark.parametrize("kind", ["token", "sequence", "constant"])
def test_parts_of_a_step_weigh_what_they_do_in_the_whole(kind):
    lengths = torch.tensor([1, 3, 2])
    whole = token_weights(lengths, kind, max_tokens=5)
    parts = [token_weights(part, kind, total=(3, 6), max_tokens=5) for part in lengths.split(2)]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_the_kl_estimate_is_that_of_k3():
    logprobs, reference = torch.tensor([0.5, 0.25]).log(), torch.tensor([0.25, 0.25]).log()
    expected = torch.tensor([0.5 - math.log(0.5) - 1, 0.0])
    torch.testing.assert_close(kl_to_reference(logprobs, reference), expected)


def test_the_kl_estimate_is_unbiased():
    policy, reference = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.3, 0.3, 0.4])
    exact = (policy * (policy / reference).log()).sum()
    estimate = (policy * kl_to_reference(policy.log(), reference.log())).sum()
    torch.testing.assert_close(estimate, exact)


def test_cross_entropy_is_the_negative_log_probability():
    torch.testing.assert_close(cross_entropy(torch.tensor([0.25]).log()), torch.tensor([1.386294]))
