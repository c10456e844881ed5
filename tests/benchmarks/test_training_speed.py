import importlib.util

import pytest
import torch

from benchmarks.generation_speed import measure_generation, measure_packing
from benchmarks.side_by_side import Comparison, Times, take_turns
from benchmarks.training_speed import draw_prompts, measure_step
from pivot_agents.llm import LLMPolicy
from pivot_agents.tiny import tiny_model, train_tokenizer

PROMPTS = [tuple(range(5, 25)), tuple(range(30, 45))]


@pytest.fixture(scope="module")
def policy():
    torch.set_num_threads(1)
    return LLMPolicy(tiny_model(300), train_tokenizer(["an issue"], 300), max_new_tokens=6)


def test_a_ratio_says_how_many_times_faster_ours_is():
    ours, other = Times("ours", [1.0, 2.0, 9.0], [1.0] * 3), Times("other", [8.0] * 3, [5.0] * 3)
    comparison = Comparison("work", ours, other)
    assert comparison.wall_ratio == 4.0
    assert comparison.cpu_ratio == 5.0
    assert comparison.as_dict()["seconds"]["ours"]["wall_minimum"] == 1.0


def test_both_sides_take_turns_and_the_first_turn_does_not_count():
    done = []
    times = take_turns(
        ("a", lambda: done.append("a")), ("b", lambda: done.append("b")), repetitions=2
    )
    assert done == ["a", "b"] * 3
    assert [len(one.wall_s) for one in times] == [2, 2]


def test_both_ways_of_generating_and_training_do_the_same_work(policy):
    generation = measure_generation(policy, PROMPTS, turns=2, repetitions=1)
    assert generation.facts["episodes"] == 2
    packing = measure_packing(policy, PROMPTS, samples=3, repetitions=1)
    assert packing.facts["samples"] == 6
    assert packing.facts["relative_difference_of_losses"] < 1e-5


def test_prompts_are_as_long_as_asked_and_differ(policy):
    prompts = draw_prompts(policy, 3, 80)
    assert len(set(prompts)) == 3
    assert all(len(policy.chat._encode(prompt)) >= 60 for prompt in prompts)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="trl is not installed")
@pytest.mark.filterwarnings("ignore")
def test_a_step_of_ours_and_one_of_trl_see_the_same_rewards(policy):
    comparison = measure_step(policy, ["one", "another"], samples=2, steps=1)
    assert len(comparison.ours.wall_s) == len(comparison.other.wall_s) == 1
    assert comparison.facts["mean_reward"] == {"ours": 0.5, "TRL": 0.5}
    assert comparison.facts["mean_completion_tokens"] == {"ours": 6, "TRL": 6}
    assert comparison.facts["zero_variance_share"] == 0
