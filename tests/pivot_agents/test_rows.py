from dataclasses import replace

import pytest
import torch

from pivot_agents.pool import Start
from pivot_agents.rollout import rollout
from pivot_agents.rows import TrainingRow, completion_logprobs, demonstrated_row, pack, sampled_row
from pivot_agents.tiny import tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model(300, heads=2, seed=4)


def row(trunk, *turns, advantage=0.0):
    """A row of a trunk and turns of (sampled tokens, observed tokens)."""
    ids, is_target = list(trunk), [False] * len(trunk)
    for sampled, observed in turns:
        ids += [*sampled, *observed]
        is_target += [True] * len(sampled) + [False] * len(observed)
    old = tuple(-float(place) for place in range(len(ids)))
    return TrainingRow(tuple(ids), tuple(is_target), old, advantage)


ROWS = [
    row([9, 8, 7, 6, 5, 4, 11, 12], ([20, 21], []), advantage=1.0),
    row([9, 8, 7, 6, 5, 4, 11, 12], ([22, 21, 1], []), advantage=-1.0),
    row([9, 8, 7, 6, 5, 4, 11, 12], ([20, 1], []), advantage=2.0),
    row([30, 31], ([40, 1], [50, 51, 52]), ([41, 42, 1], []), advantage=3.0),
    row([30, 31], ([43, 1], [50, 53]), ([44], []), advantage=4.0),
]


def expected_logprobs(model):
    """Log-probabilities of each row's targets from a plain forward of the row alone."""
    result = {}
    for one in ROWS:
        ids = torch.tensor([one.token_ids])
        logprobs = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        for place, wanted in enumerate(one.is_target):
            if wanted:
                key = (one.advantage, one.old_logprobs[place], one.token_ids[place])
                result[key] = logprobs[place - 1, one.token_ids[place]].item()
    return result


@pytest.mark.parametrize("micro_batch_tokens", [1, 24, 1000])
def test_packed_rows_give_the_logprobs_of_separate_ones(model, micro_batch_tokens):
    expected = expected_logprobs(model)
    found = {}
    for batch in pack(ROWS, micro_batch_tokens, pad_id=0):
        logprobs = completion_logprobs(model, batch).tolist()
        keys = zip(
            batch.advantages.tolist(),
            batch.old_logprobs.tolist(),
            batch.targets.tolist(),
            strict=True,
        )
        found |= dict(zip(keys, logprobs, strict=True))
    assert found == pytest.approx(expected, abs=1e-5)


def test_packed_rows_give_the_gradient_of_separate_ones(model):
    def gradient(rows):
        model.zero_grad()
        for batch in rows:
            (completion_logprobs(model, batch) * batch.advantages).sum().backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    together = gradient(pack(ROWS, 1000, pad_id=0))
    apart = gradient([batch for one in ROWS for batch in pack([one], 1000, pad_id=0)])
    assert (together - apart).norm() < 1e-5 * apart.norm()


def test_the_gradient_of_a_large_group_is_the_same_to_the_last_bit_with_several_threads(model):
    """Or a resumed run would not be that of one that was never stopped."""
    group = [row(range(20, 60), ([60 + one, 1], []), advantage=one - 99.5) for one in range(200)]
    (batch,) = pack(group, 100_000, pad_id=0)

    def gradient():
        model.zero_grad()
        (completion_logprobs(model, batch) * batch.advantages).sum().backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    torch.set_num_threads(2)
    first = gradient()
    assert all(torch.equal(gradient(), first) for _ in range(9))


@pytest.mark.parametrize("micro_batch_tokens", [1, 24, 40])
def test_micro_batches_add_up_to_the_gradient_of_one_batch(model, micro_batch_tokens):
    def gradient(limit):
        model.zero_grad()
        for batch in pack(ROWS, limit, pad_id=0):
            losses = completion_logprobs(model, batch) * batch.advantages
            (losses * batch.weights / 14).sum().backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    whole = gradient(1000)
    assert (gradient(micro_batch_tokens) - whole).norm() < 1e-5 * whole.norm()


def test_targets_know_their_row_and_its_weight():
    weighed = [replace(one, weight=float(place)) for place, one in enumerate(ROWS)]
    for batch in pack(weighed, 30, pad_id=0):
        assert sorted(set(batch.rows.tolist())) == list(range(int(batch.rows.max()) + 1))
        for number in set(batch.rows.tolist()):
            chosen = batch.rows == number
            (weight,) = set(batch.weights[chosen].tolist())
            assert {ROWS[int(weight)].advantage} == set(batch.advantages[chosen].tolist())
            assert chosen.sum() == ROWS[int(weight)].targets


def test_a_group_with_a_long_common_prompt_is_one_line():
    (batch,) = pack(ROWS[:3], 1000, pad_id=0)
    assert batch.input_ids.shape == (1, 8 + 2 + 3 + 2)
    assert batch.position_ids[0, 8:].tolist() == [8, 9, 8, 9, 10, 8, 9]


def test_branches_much_longer_than_their_trunk_get_lines_of_their_own():
    long = [row([30, 31], ([40] * 200, [])), row([30, 31], ([41] * 200, []))]
    (batch,) = pack(long, 1000, pad_id=0)
    assert len(batch.input_ids) == 2


def test_micro_batches_keep_their_limit():
    rows = [row([place], ([40] * 5, [])) for place in range(5)]
    batches = pack(rows, 12, pad_id=0)
    assert [batch.input_ids.shape for batch in batches] == [(2, 6), (2, 6), (1, 6)]
    assert [len(batch.input_ids) for batch in pack(ROWS, 1, pad_id=0)] == [1, 1]


def test_a_sampled_row_is_exactly_what_was_sampled(drill):
    (episode,) = rollout(drill.pool, drill.base, [Start(3)])
    one = sampled_row(episode, 0.5)
    first, last = episode.transitions
    assert one.token_ids == last.prompt_ids + last.token_ids
    assert one.trunk == first.prompt_ids
    targets = [token for token, wanted in zip(one.token_ids, one.is_target, strict=True) if wanted]
    assert targets == [*first.token_ids, *last.token_ids]
    (batch,) = pack([one], 1000, pad_id=0)
    logprobs = completion_logprobs(drill.base.model, batch)
    torch.testing.assert_close(logprobs, batch.old_logprobs, atol=1e-4, rtol=0)


def test_an_episode_that_was_encoded_again_is_refused(drill):
    (episode,) = rollout(drill.pool, drill.base, [Start(3)])
    first, last = episode.transitions
    broken = replace(last, prompt_ids=(5, *last.prompt_ids[1:]))
    with pytest.raises(ValueError, match="continue the turn before"):
        sampled_row(replace(episode, transitions=(first, broken)), 1.0)
    with pytest.raises(ValueError, match="must have token ids"):
        sampled_row(drill.demonstrations[0], 1.0)


def test_a_demonstrated_row_has_the_tokens_of_the_whole_conversation(drill):
    chat, demonstration = drill.base.chat, drill.demonstrations[0]
    one = demonstrated_row(chat, demonstration)
    look, answer = demonstration.transitions
    messages = answer.snapshot.messages
    assert one.token_ids == chat.rendered_ids(messages) + chat.completion_ids(answer.action)
    targets = [token for token, wanted in zip(one.token_ids, one.is_target, strict=True) if wanted]
    assert tuple(targets) == chat.completion_ids(look.action) + chat.completion_ids(answer.action)


def test_a_demonstration_that_starts_late_keeps_the_conversation_before_it(drill):
    whole = demonstrated_row(drill.base.chat, drill.demonstrations[0])
    late = replace(drill.demonstrations[0], transitions=drill.demonstrations[0].transitions[1:])
    rest = demonstrated_row(drill.base.chat, late)
    assert rest.token_ids == whole.token_ids
    assert sum(rest.is_target) < sum(whole.is_target)
