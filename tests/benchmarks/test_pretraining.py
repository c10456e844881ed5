from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.batches import COUNT_STEP, Sampler, pad
from benchmarks.corpus import OBSERVATION_WEIGHT, Row
from benchmarks.corpus_builder import EPISODES
from benchmarks.pretraining import BaseModelConfig, Pretraining, grow, train, weighted_loss
from pivot_agents.tiny import tiny_model

VOCABULARY = 50


def row(length: int, actions: int, seed: int = 0) -> Row:
    ids = np.random.default_rng(seed).integers(1, VOCABULARY, length).astype(np.uint16)
    return Row(ids, np.arange(length) >= length - actions)


def model(layers: int = 1):
    return tiny_model(VOCABULARY, hidden_size=16, layers=layers, heads=2)


def config(folder, **changes) -> BaseModelConfig:
    settings = BaseModelConfig(
        work=folder,
        copying_tokens=3000,
        drill_tokens=0,
        episode_tokens=0,
        decay_tokens=1000,
        hidden_size=16,
        heads=2,
        first_layers=1,
        layers=2,
        shallow_tokens=1500,
        batch_tokens=512,
        warmup_steps=2,
        save_every_s=0.0,
    )
    return replace(settings, **changes)


def rows() -> dict[str, list[Row]]:
    return {"look_up": [row(60, 20, seed) for seed in range(20)]}


def test_all_action_tokens_and_a_draw_of_the_others_count():
    batch = [row(200, 50, seed) for seed in range(8)]
    ids, weights = pad(batch, np.random.default_rng(0))
    assert ids.shape == weights.shape == (8, 224)
    assert (weights[:, 150:200] == 1).all()
    assert int((weights > 0).sum()) % COUNT_STEP == 0
    assert set(weights[:, :150].unique().tolist()) == {0.0, OBSERVATION_WEIGHT}
    assert (weights[:, 200:] == 0).all()
    assert (weights[:, 0] == 0).all()


def test_without_a_share_only_as_many_others_count_as_round_off_the_number():
    batch = [row(200, 50, seed) for seed in range(8)]
    _, weights = pad(batch, np.random.default_rng(0), observation_share=0.0)
    assert int((weights > 0).sum()) == COUNT_STEP  # of them 400 are actions


def test_the_loss_is_the_weighted_mean_over_the_tokens_that_count():
    ids = torch.tensor([[3, 7, 9, 4]])
    weights = torch.tensor([[0.0, 1.0, 0.0, 0.5]])
    learner = model()
    logprobs = torch.log_softmax(learner(input_ids=ids).logits[0], -1)
    expected = -(logprobs[0, 7] + 0.5 * logprobs[2, 4]) / 1.5
    assert weighted_loss(learner, ids, weights).item() == pytest.approx(expected.item(), rel=1e-5)


def test_new_layers_change_nothing_at_first():
    ids = torch.arange(1, 40)[None]
    small = model()
    grown = grow(small, 3)
    assert grown.config.num_hidden_layers == 3
    torch.testing.assert_close(grown(input_ids=ids).logits, small(input_ids=ids).logits)


def test_a_model_grows_on_the_way_and_a_stopped_run_goes_on(tmp_path):
    run = Pretraining.begin(VOCABULARY, config(tmp_path, copying_tokens=1000))
    train(run, rows())
    assert run.model.config.num_hidden_layers == 1
    again = Pretraining.begin(VOCABULARY, config(tmp_path))
    assert again.state == run.state
    train(again, rows())
    assert again.state["tokens"] >= 3000
    assert again.model.config.num_hidden_layers == 2
    assert Pretraining.begin(VOCABULARY, config(tmp_path)).model.config.num_hidden_layers == 2


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    Pretraining.begin(VOCABULARY, config(tmp_path)).save()
    with pytest.raises(SystemExit, match="name another --work folder"):
        Pretraining.begin(VOCABULARY, config(tmp_path, seed=1))


def test_batches_hold_rows_of_one_padded_length():
    mixed = {"text": [row(10, 5), row(100, 5)], "look_up": [row(70, 5)]}
    batches = Sampler(mixed, 512, seed=0).batches({"text": 0.5, "look_up": 0.5}, 0)
    for _ in range(20):
        lengths = {len(one.token_ids) > 64 for one in next(batches)}
        assert len(lengths) == 1


def test_the_weight_of_web_episodes_is_that_of_the_last_stage_alone(tmp_path):
    *others, (last, _) = config(tmp_path, web_weight=4.0).stages()
    assert last["web"] == 4.0
    assert last["episode"] == EPISODES["episode"]
    assert all("web" not in mixture for mixture, _ in others)


def test_the_weight_of_page_drills_is_that_of_the_last_stage_alone(tmp_path):
    *others, (last, _) = config(tmp_path, page_weight=30.0).stages()
    assert last["pages"] == 30.0
    assert all("pages" not in mixture for mixture, _ in others)
