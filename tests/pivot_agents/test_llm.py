import copy

import pytest
import torch

from pivot_agents import lora
from pivot_agents.llm import LLMPolicy
from pivot_agents.policy import Context
from pivot_envs import Message
from pivot_envs.errors import ModelError


def context(text="Reverse the list.", **arguments):
    return Context((Message("user", text),), (), **arguments)


def test_a_completion_says_how_it_was_sampled(tiny_policy):
    (completion,) = tiny_policy.act([context()])
    assert completion.prompt_ids == tiny_policy.chat.prompt_ids(context())
    assert 1 <= len(completion.token_ids) == len(completion.logprobs) <= 8
    assert completion.text == tiny_policy.chat.action(completion.token_ids)


def test_a_greedy_policy_is_a_view_that_always_says_the_same(tiny_policy):
    greedy = tiny_policy.greedy()
    assert greedy.model is tiny_policy.model
    first, second = greedy.act([context()] * 2)
    assert first.token_ids == second.token_ids
    # A batch's rows may differ in the last bits.
    assert first.logprobs == pytest.approx(second.logprobs, abs=1e-5)
    assert greedy.act([context()])[0].token_ids == first.token_ids


def test_with_adapter_leaves_the_policy_alone(tiny_policy):
    student = tiny_policy.with_adapter()
    assert lora.is_attached(student.model)
    assert not lora.is_attached(tiny_policy.model)
    assert (
        student.greedy().act([context()])[0].text == tiny_policy.greedy().act([context()])[0].text
    )
    with pytest.raises(ValueError, match="carries an adapter"):
        student.with_adapter()


def test_stored_keys_are_dropped_when_the_weights_change(tiny_policy):
    student = tiny_policy.with_adapter()
    (first,) = student.act([context()])
    with torch.no_grad():
        for parameter in lora.trainable(student.model):
            parameter += 0.2
    prefix = first.prompt_ids + first.token_ids
    messages = (*context().messages, Message("assistant", first.text), Message("tool", "7 3"))
    later = Context(messages, (), prefix_ids=prefix, prefix_messages=2)
    (second,) = student.act([later])
    fresh = tiny_policy.with_adapter()
    fresh.model.load_state_dict(student.model.state_dict())
    expected = fresh.model(input_ids=torch.tensor([second.prompt_ids])).logits[0, -1]
    expected = expected.log_softmax(-1)[second.token_ids[0]].item()
    assert second.logprobs[0] == pytest.approx(expected, abs=1e-4)


def test_a_saved_model_can_be_loaded(tiny_policy, tmp_path):
    tiny_policy.model.save_pretrained(tmp_path)
    tiny_policy.chat.tokenizer.save_pretrained(tmp_path)
    loaded = LLMPolicy.load(tmp_path, max_new_tokens=8, temperature=0.0)
    (expected,) = tiny_policy.greedy().act([context()])
    assert loaded.act([context()])[0].token_ids == expected.token_ids


def test_a_model_saved_in_half_precision_is_loaded_in_full_and_can_be_trained(
    tiny_policy, tmp_path
):
    half = copy.deepcopy(tiny_policy.model).to(torch.bfloat16)
    half.save_pretrained(tmp_path)
    tiny_policy.chat.tokenizer.save_pretrained(tmp_path)
    assert LLMPolicy.load(tmp_path).model.dtype == torch.float32
    loaded = LLMPolicy.load(tmp_path, dtype=torch.bfloat16, max_new_tokens=4).with_adapter()
    assert loaded.model.dtype == torch.bfloat16
    assert loaded.act([context()])[0].token_ids


def test_a_path_without_a_causal_language_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"with its tokenizer, got '.*nothing', whose tokenizer"):
        LLMPolicy.load(tmp_path / "nothing")
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ValueError, match="causal language model"):
        LLMPolicy.load(tmp_path)


def test_damaged_weights_are_named(tiny_policy, tmp_path):
    tiny_policy.model.save_pretrained(tmp_path)
    tiny_policy.chat.tokenizer.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="causal language model"):
        LLMPolicy.load(tmp_path)


def test_numbers_out_of_range_are_refused(tiny_policy):
    with pytest.raises(ValueError, match="temperature >= 0"):
        tiny_policy.with_temperature(-1.0)
