import pytest
import torch

from pivot_agents.generation import SamplingConfig, sample
from pivot_agents.kv_cache import PrefixKeyValues, PrefixStore
from pivot_agents.tiny import tiny_model
from pivot_envs.errors import ModelError

VOCABULARY = 300


@pytest.fixture(scope="module")
def model():
    return tiny_model(VOCABULARY, heads=2, seed=3)


def config(**changes):
    return SamplingConfig(**{"end_id": 1, "pad_id": 0, "max_new_tokens": 6, **changes})


def draw(model, prompts, seed=0, *, settings=None, **arguments):
    generator = torch.Generator().manual_seed(seed)
    return sample(model, prompts, settings or config(), generator, **arguments)


def prompts_of(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        tuple(torch.randint(5, VOCABULARY, (n,), generator=generator).tolist()) for n in lengths
    ]


@torch.no_grad()
def plain_logprobs(model, prompt, token_ids):
    logits = model(input_ids=torch.tensor([[*prompt, *token_ids]])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(-1, torch.tensor(token_ids)[:, None]).squeeze(-1)


def assert_parity(model, prompts, samples):
    for prompt, one in zip(prompts, samples, strict=True):
        expected = plain_logprobs(model, prompt, one.token_ids)
        torch.testing.assert_close(torch.tensor(one.logprobs), expected, atol=1e-4, rtol=0)


def test_logprobs_of_padded_forked_batches_equal_those_of_a_plain_forward(model):
    prompts = prompts_of([3, 9, 9, 30, 31, 45])
    prompts = [*prompts, *prompts[:2] * 3]
    samples = draw(model, prompts, settings=config(batch_size=5))
    assert_parity(model, prompts, samples)
    assert len({one.token_ids for one in samples[6::2]}) > 1


def test_greedy_sampling_equals_the_most_likely_tokens_of_generate(model):
    prompts = prompts_of([4, 12, 7])
    samples = draw(model, prompts, settings=config(temperature=0.0))
    for prompt, one in zip(prompts, samples, strict=True):
        expected = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
            max_new_tokens=6,
            do_sample=False,
        )
        assert list(one.token_ids) == expected[0, len(prompt) :].tolist()
    assert_parity(model, prompts, samples)


def test_logprobs_are_those_at_temperature_1(model):
    prompts = prompts_of([5])
    assert_parity(model, prompts, draw(model, prompts, settings=config(temperature=0.3)))


def test_a_completion_ends_with_its_end_token(model):
    prompts = prompts_of([5] * 64)
    greedy = draw(model, prompts, settings=config(temperature=0.0, max_new_tokens=3))
    end = greedy[0].token_ids[1]
    samples = draw(model, prompts, settings=config(end_id=end, max_new_tokens=20, temperature=2.0))
    assert_parity(model, prompts, samples)
    lengths = {len(one.token_ids) for one in samples}
    assert len(lengths) > 2
    for one in samples:
        assert end not in one.token_ids[:-1]
        assert len(one.token_ids) == 20 or one.token_ids[-1] == end


def test_the_same_seed_samples_the_same(model):
    prompts = prompts_of([5, 6, 7])
    assert draw(model, prompts, 1) == draw(model, prompts, 1) != draw(model, prompts, 2)


def test_sampling_follows_the_distribution(model):
    (prompt,) = prompts_of([4])
    samples = draw(model, [prompt] * 2000, settings=config(max_new_tokens=1, batch_size=500))
    counts = torch.zeros(VOCABULARY)
    for one in samples:
        counts[one.token_ids[0]] += 1
    with torch.no_grad():
        expected = model(input_ids=torch.tensor([prompt])).logits[0, -1].softmax(-1)
    assert (counts / 2000 - expected).abs().max() < 0.04


def test_a_later_turn_goes_on_from_stored_keys_and_values(model):
    store = PrefixStore(10**9)
    prompts = prompts_of([6, 20, 11])
    first = draw(model, prompts, store=store)
    prefixes = [(*p, *one.token_ids) for p, one in zip(prompts, first, strict=True)]
    # A fourth prompt that is new, so that known and unknown ones are mixed.
    longer = [(*p, *new) for p, new in zip(prefixes, prompts_of([4, 2, 9], 5), strict=True)]
    longer += prompts_of([13], 6)
    known = [*map(len, prefixes), 0]
    second = draw(model, longer, store=store, known=known, keep=[False] * 4)
    assert not store._entries
    assert_parity(model, longer, second)


def test_nothing_is_stored_that_nobody_goes_on_from(model):
    store = PrefixStore(10**9)
    draw(model, prompts_of([6, 7]), store=store, keep=[False, True])
    assert len(store._entries) == 1


def test_a_full_store_drops_its_oldest_entries():
    entries = [PrefixKeyValues(((torch.zeros(1, 4, 2),) * 2,), 4) for _ in range(3)]
    store = PrefixStore(2 * entries[0].nbytes)
    for number, entry in enumerate(entries):
        store.put((number,), entry)
    assert store.take((0,)) is None
    assert store.take((2,)) is entries[2]
    assert store.take((2,)) is None
    store.clear()
    assert store.take((1,)) is None


def test_a_key_decides_what_is_drawn(model):
    prompts = prompts_of([7, 7, 12])
    keys = [(5, 0), (6, 0), (5, 0)]
    apart = [
        draw(model, [prompt], keys=[key])[0] for prompt, key in zip(prompts, keys, strict=True)
    ]
    together = draw(model, prompts[::-1], seed=9, keys=keys[::-1])[::-1]
    assert [one.token_ids for one in together] == [one.token_ids for one in apart]
    (other,) = draw(model, prompts[:1], keys=[(5, 1)])
    assert other.token_ids != apart[0].token_ids


def test_logits_that_are_not_finite_are_named(model):
    broken = tiny_model(VOCABULARY, heads=2)
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    with pytest.raises(ModelError, match="lower learning rate"):
        draw(broken, prompts_of([4]))
