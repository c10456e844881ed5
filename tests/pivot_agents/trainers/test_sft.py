import pytest

from pivot_agents.trainers.sft import SFTConfig, SFTTrainer


def test_sft_learns_the_drill_from_demonstrations(drill):
    before = drill.success_rate(drill.base)
    student = drill.student()
    config = SFTConfig(max_steps=60, learning_rate=3e-3)
    metrics = list(SFTTrainer(student, drill.demonstrations[:64], config).train())
    assert metrics[-1].loss < 0.5 * metrics[0].loss
    assert before < 0.6
    assert drill.success_rate(student) > 0.75


def test_sft_leaves_the_base_model_alone(drill):
    before = drill.success_rate(drill.base)
    student = drill.student()
    config = SFTConfig(max_steps=3, learning_rate=1e-2)
    list(SFTTrainer(student, drill.demonstrations[:8], config).train())
    assert drill.success_rate(drill.base) == before


def test_an_epoch_shows_every_demonstration_once(drill):
    config = SFTConfig(max_steps=3, episodes_per_step=4)
    trainer = SFTTrainer(drill.student(), drill.demonstrations[:6], config)
    shown = []
    for _ in trainer.train():
        trainer.step -= 1
        shown += trainer._chosen()
        trainer.step += 1
    assert sorted(shown[:6]) == sorted(shown[6:]) == list(range(6))
    assert shown[:6] != shown[6:]


def test_a_resumed_sft_run_gives_the_same_curve(drill, tmp_path):
    config = SFTConfig(max_steps=6, episodes_per_step=4)
    demonstrations = drill.demonstrations[:10]
    whole = list(SFTTrainer(drill.student(), demonstrations, config).train())
    half = SFTConfig(max_steps=3, episodes_per_step=4)
    first = SFTTrainer(drill.student(), demonstrations, half)
    start = list(first.train())
    first.save(tmp_path / "checkpoint.pt")
    second = SFTTrainer(drill.student(), demonstrations, config)
    second.load(tmp_path / "checkpoint.pt")
    assert start + list(second.train()) == whole


def test_sft_needs_an_adapter_and_demonstrations(drill):
    with pytest.raises(ValueError, match="no adapter"):
        SFTTrainer(drill.base, drill.demonstrations, SFTConfig(max_steps=1))
    with pytest.raises(ValueError, match="got none"):
        SFTTrainer(drill.student(), [], SFTConfig(max_steps=1))
