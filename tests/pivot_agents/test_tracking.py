import functools
import importlib.util
import io

import gymnasium as gym
import pytest
from rich.console import Console

from pivot_agents.pool import EnvPool
from pivot_agents.tracking import TensorBoardWriter, WandbWriter, said, scalars, track
from pivot_agents.trainers.metrics import StepMetrics
from pivot_agents.trainers.policy_gradient import PolicyGradientConfig, PolicyGradientTrainer

METRICS = StepMetrics(
    step=3,
    loss=-0.25,
    trained_tokens=120,
    gradient_norm=1.0,
    reward_mean=0.5,
    zero_variance_share=0.25,
    kl=0.01,
    turns=64,
    generated_tokens=640,
    rollout_s=2.0,
)


class Kept:
    """A writer that keeps everything."""

    def __init__(self):
        self.points, self.is_closed = [], False

    def write(self, step, metrics):
        self.points.append((step, dict(metrics)))

    def close(self):
        self.is_closed = True


def test_scalars_are_what_a_step_has_and_its_speed():
    values = scalars(METRICS)
    assert values["turns_per_s"] == 32
    assert values["tokens_per_s"] == 320
    assert values["kl"] == 0.01
    assert "step" not in values
    assert "reward_mean" not in scalars(StepMetrics(1, 0.5, 10, 1.0))


def test_the_bar_says_what_training_is_watched_by():
    assert said(3, scalars(METRICS)) == (
        "step 3 · 32.0 turns/s · 320 tokens/s · reward 0.50 · no variance 25% · KL 0.010 · "
        "loss -0.250"
    )


def test_training_is_shown_and_written(tiny_policy):
    make_env = functools.partial(gym.make, "pivot/Drill-v0", max_turns=1, disable_env_checker=True)
    config = PolicyGradientConfig(max_steps=2, groups_per_step=1, group_size=2)
    kept, console = Kept(), Console(file=io.StringIO(), force_terminal=True, width=200)
    with EnvPool(make_env, 2) as pool:
        trainer = PolicyGradientTrainer(tiny_policy.with_adapter(), pool, config)
        steps = list(track(trainer, [kept], console=console))
    assert [step for step, _ in kept.points] == [one.step for one in steps] == [1, 2]
    assert kept.is_closed
    assert "step 2" in console.file.getvalue()
    assert "100 %" in console.file.getvalue()


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed"
)
def test_tensorboard_can_read_what_is_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = TensorBoardWriter(tmp_path)
    writer.write(3, {"kl": 0.5})
    writer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    ((step, value),) = [(one.step, one.value) for one in events.Scalars("train/kl")]
    assert (step, value) == (3, 0.5)


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_a_run_of_wandb_is_kept_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    writer = WandbWriter(project="test", mode="offline", dir=str(tmp_path))
    writer.write(3, {"kl": 0.5})
    writer.close()
    assert list(tmp_path.rglob("*.wandb"))
