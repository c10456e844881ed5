import pytest
import torch

from pivot_agents.trainers.sft import SFTConfig, SFTTrainer
from pivot_envs.errors import CheckpointError

CONFIG = SFTConfig(max_steps=2, episodes_per_step=2)


@pytest.fixture
def trainer(drill):
    trainer = SFTTrainer(drill.student(), drill.demonstrations[:4], CONFIG)
    list(trainer.train())
    return trainer


def test_a_checkpoint_brings_back_step_weights_and_generator(drill, trainer, tmp_path):
    trainer.policy.act([])
    trainer.save(tmp_path / "folder" / "checkpoint.pt")
    other = SFTTrainer(drill.student(), drill.demonstrations[:4], CONFIG)
    other.load(tmp_path / "folder" / "checkpoint.pt")
    assert other.step == 2
    mine, theirs = (one.policy.model.state_dict() for one in (trainer, other))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    states = [one.policy.generator.get_state() for one in (trainer, other)]
    assert torch.equal(*states)
    assert list((tmp_path / "folder").iterdir()) == [tmp_path / "folder" / "checkpoint.pt"]


def test_other_settings_are_named_and_refused(drill, trainer, tmp_path):
    trainer.save(tmp_path / "checkpoint.pt")
    config = SFTConfig(max_steps=2, episodes_per_step=2, learning_rate=0.1)
    other = SFTTrainer(drill.student(), drill.demonstrations[:4], config)
    with pytest.raises(CheckpointError, match=r"other settings \(learning_rate differ"):
        other.load(tmp_path / "checkpoint.pt")
    assert other.step == 0


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_damaged_checkpoint_changes_nothing(trainer, tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot read the checkpoint"):
        trainer.load(path)
    assert trainer.step == 2


def test_a_file_that_is_no_checkpoint_is_refused(trainer, tmp_path):
    torch.save({"format": "other", "version": 1}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="format 'other'"):
        trainer.load(tmp_path / "other.pt")


def test_a_failed_write_keeps_the_old_checkpoint(trainer, tmp_path):
    path = tmp_path / "checkpoint.pt"
    trainer.save(path)
    before = path.read_bytes()
    trainer.step = (number for number in [1])  # Cannot be saved: the write breaks off half-way.
    with pytest.raises(TypeError):
        trainer.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(trainer, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot write"):
        trainer.save(tmp_path / "file" / "checkpoint.pt")
