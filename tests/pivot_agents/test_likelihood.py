"""Likelihoods of demonstrated actions."""

import math
from dataclasses import replace

import pytest
import torch

from pivot_agents.accounting import TurnCounter
from pivot_agents.likelihood import demonstration_likelihoods
from pivot_envs import Message
from pivot_envs.core import Effect
from pivot_envs.drill import DrillEnv
from wrappers import Pivot


@pytest.fixture(scope="module")
def policy(tiny_policy):
    return tiny_policy.with_temperature(0.5)


@pytest.fixture(scope="module")
def pivots() -> list[Pivot]:
    env = DrillEnv()
    env.reset(options={"task_id": "reverse-3-1"})
    start = env.snapshot()
    said = (*start.messages, Message("assistant", "hm"), Message("tool", "go on " * 9))
    later = replace(start, messages=said)
    effect = Effect("after", frozenset(), terminated=False)
    one = Pivot("long", "t", 1, later, '{"name": "submit", "arguments": {}}', effect, "submit")
    return [
        one,
        replace(one, pivot_id="short", snapshot=start, demonstration="{}"),
        replace(one, pivot_id="same trunk", demonstration='{"name": "view"}'),
    ]


def expected(policy, pivot) -> float:
    """The likelihood from a plain forward pass of the row alone."""
    context = policy.chat.rendered_ids(pivot.snapshot.messages)
    said = policy.chat.completion_ids(pivot.demonstration)
    with torch.no_grad():
        logits = policy.model(input_ids=torch.tensor([[*context, *said]])).logits[0].float()
    logprobs = logits.log_softmax(-1)
    first = len(context) - 1
    return sum(logprobs[first + at, token].item() for at, token in enumerate(said))


@pytest.mark.parametrize("micro_batch_tokens", [1, 10_000])
def test_likelihoods_are_those_of_each_action_alone(policy, pivots, micro_batch_tokens):
    found = demonstration_likelihoods(policy, pivots, micro_batch_tokens=micro_batch_tokens)
    assert len(found) == 3
    for pivot, likelihood in zip(pivots, found, strict=True):
        assert math.log(likelihood) == pytest.approx(expected(policy, pivot), abs=1e-3)


def test_they_cost_tokens_and_no_turn(policy, pivots):
    counter = TurnCounter()
    demonstration_likelihoods(policy, pivots, counter=counter)
    bill = counter["profile"]
    lengths = [
        len(policy.chat.rendered_ids(pivot.snapshot.messages))
        + len(policy.chat.completion_ids(pivot.demonstration))
        for pivot in pivots
    ]
    assert (bill.turns, bill.generated_tokens) == (0, 0)
    assert bill.prompt_tokens == sum(lengths)
    assert bill.model_s > 0


def test_without_pivots_there_are_none(policy):
    assert demonstration_likelihoods(policy, []) == ()
