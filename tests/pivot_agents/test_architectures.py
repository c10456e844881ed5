"""What holds for any Hugging Face causal language model with a chat template."""

import functools
from dataclasses import replace

import gymnasium as gym
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
)

from pivot_agents import lora
from pivot_agents.llm import LLMPolicy
from pivot_agents.policy import Context
from pivot_agents.pool import EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_agents.rows import completion_logprobs, pack, sampled_row
from pivot_envs import Message
from pivot_envs.errors import ModelError

SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
    "initializer_range": 0.2,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
CONFIGS = {
    "Llama": LlamaConfig(**GROUPED),
    "GPT-NeoX": GPTNeoXConfig(**SIZES),
    # Windows shorter than an episode: of some layers here, of all of them there.
    "Gemma 2": Gemma2Config(**GROUPED, head_dim=8, sliding_window=48),
    "Mistral": MistralConfig(**GROUPED, sliding_window=48),
}

make_drill = functools.partial(
    gym.make, "pivot/Drill-v0", family="reverse", size=2, max_turns=4, disable_env_checker=True
)


@pytest.fixture(params=CONFIGS, scope="module")
def policy(request, tiny_policy):
    """A policy of each architecture, whose adapter changes much."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[request.param]).eval()
    model.requires_grad_(False)
    plain = LLMPolicy(model, tiny_policy.chat.tokenizer, max_new_tokens=8, batch_size=5)
    student = plain.with_adapter()
    with torch.no_grad():
        for parameter in lora.trainable(student.model):
            parameter += 0.1 * torch.randn(parameter.shape)
    return student


@pytest.fixture(scope="module")
def episodes(policy):
    """Three groups of episodes of four turns each, which end at different lengths."""
    starts = [Start(seed, draw_seed=copy) for seed in range(3) for copy in range(4)]
    with EnvPool(make_drill, 6) as pool:
        return rollout(pool, policy, starts)


def test_logprobs_of_whole_episodes_equal_those_of_a_plain_forward(policy, episodes):
    assert {len(episode.transitions) for episode in episodes} == {4}
    for episode in episodes:
        row = sampled_row(episode, 0.0)
        with torch.no_grad():
            logits = policy.model(input_ids=torch.tensor([row.token_ids])).logits[0]
        logprobs = logits[:-1].float().log_softmax(-1)
        chosen = logprobs.gather(-1, torch.tensor(row.token_ids[1:])[:, None]).squeeze(-1)
        wanted = torch.tensor(row.is_target[1:])
        sampled = torch.tensor(row.old_logprobs[1:])
        torch.testing.assert_close(sampled[wanted], chosen[wanted], atol=1e-4, rtol=0)


def test_packed_groups_give_the_gradient_of_one_row_per_sample(policy, episodes):
    def gradient(batches):
        policy.model.zero_grad()
        for batch in batches:
            (completion_logprobs(policy.model, batch) * batch.advantages).sum().backward()
        return torch.cat([one.grad.flatten() for one in lora.trainable(policy.model)])

    firsts = [sampled_row(_first_turn(one), (-1.0) ** at) for at, one in enumerate(episodes)]
    together = pack(firsts, 100_000, pad_id=0)
    assert sum(len(batch.input_ids) for batch in together) == 1
    apart = gradient([batch for row in firsts for batch in pack([row], 1, pad_id=0)])
    packed = gradient(together)
    assert (packed - apart).norm() < 1e-5 * apart.norm()


def test_what_is_drawn_does_not_depend_on_what_runs_beside_it(policy, episodes):
    with EnvPool(make_drill, 1) as pool:
        (alone,) = rollout(pool, policy, [Start(2, draw_seed=3)])
    assert [one.token_ids for one in alone.transitions] == [
        one.token_ids for one in episodes[-1].transitions
    ]


def test_other_kinds_of_attention_are_refused(tiny_policy, monkeypatch):
    monkeypatch.setattr(tiny_policy.model.config, "layer_types", ["linear_attention"] * 2)
    with pytest.raises(ModelError, match="full or sliding-window attention"):
        tiny_policy.act([_context()])


def _context():

    return Context((Message("user", "Reverse the list."),), ())


def _first_turn(episode):

    return replace(episode, transitions=episode.transitions[:1])
