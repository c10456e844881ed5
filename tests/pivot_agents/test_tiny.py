import pytest
import torch

from pivot_agents.tiny import tiny_model, train_tokenizer


def test_special_tokens_have_the_first_ids():
    tokenizer = train_tokenizer(["some text"], 270)
    assert tokenizer.convert_tokens_to_ids(["<|pad|>", "<|end|>", "<|user|>"]) == [0, 1, 2]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 1)
    assert len(tokenizer) <= 270


def test_merges_are_learned_from_the_texts():
    tokenizer = train_tokenizer(["reverse the list"] * 3, 280)
    assert len(tokenizer.encode("reverse", add_special_tokens=False)) < len("reverse")


def test_a_vocabulary_without_room_for_all_bytes_is_refused():
    with pytest.raises(ValueError, match="at least 261, got 100"):
        train_tokenizer([], 100)


def test_models_of_the_same_seed_are_equal_and_the_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    first, second, third = (tiny_model(64, hidden_size=32, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.lm_head.weight, second.lm_head.weight)
    assert not torch.equal(first.lm_head.weight, third.lm_head.weight)
