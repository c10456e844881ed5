import torch

from pivot_agents import lora
from pivot_agents.tiny import tiny_model

IDS = torch.tensor([[5, 9, 7, 30, 2]])


def adapted(seed=0):
    model = lora.attach(tiny_model(64, hidden_size=32), lora.LoRAConfig(rank=4, alpha=8, seed=seed))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in lora.trainable(model):
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


@torch.no_grad()
def logits(model):
    return model(input_ids=IDS).logits


def test_a_fresh_adapter_changes_nothing_and_trains_only_itself():
    base = tiny_model(64, hidden_size=32)
    before = logits(base)
    model = lora.attach(base)
    assert lora.is_attached(model)
    torch.testing.assert_close(logits(model), before)
    names = [name for name, one in model.named_parameters() if one.requires_grad]
    assert len(names) == 2 * 7 * 2
    assert all("lora_" in name for name in names)


def test_adapters_of_the_same_seed_are_equal():
    first, second, third = (
        lora.trainable(lora.attach(tiny_model(64, hidden_size=32), lora.LoRAConfig(seed=seed)))
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    assert not all(torch.equal(*pair) for pair in zip(first, third, strict=True))


def test_the_reference_is_the_model_without_its_adapter():
    model, base = adapted(), tiny_model(64, hidden_size=32)
    assert not torch.allclose(logits(model), logits(base), atol=1e-2)
    with lora.reference(model):
        torch.testing.assert_close(logits(model), logits(base))


def test_a_merged_adapter_computes_the_same_and_is_taken_out_bit_by_bit():
    model = adapted()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = logits(model)
    with lora.merged(model) as merged:
        torch.testing.assert_close(logits(merged), expected, atol=1e-5, rtol=0)
    assert torch.equal(logits(model), expected)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_merging_a_model_without_an_adapter_is_the_model():
    model = tiny_model(64, hidden_size=32)
    with lora.merged(model) as merged:
        assert merged is model


def test_weights_in_half_precision_are_not_merged():
    model = lora.attach(tiny_model(64, hidden_size=32).to(torch.bfloat16))
    with lora.merged(model) as merged:
        assert merged is model


def test_a_saved_adapter_can_be_loaded_and_trained_on(tmp_path):
    model = adapted()
    lora.save_adapter(model, tmp_path)
    loaded = lora.load_adapter(tiny_model(64, hidden_size=32), tmp_path)
    torch.testing.assert_close(logits(loaded), logits(model))
    assert lora.trainable(loaded)
