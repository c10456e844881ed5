"""Checkpoints, what a trainer needs to go on as if it had never stopped."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict

from pivot_agents.accounting import TurnCounter
from pivot_agents.curriculum import Curriculum
from pivot_agents.llm import LLMPolicy
from pivot_envs.errors import CheckpointError

FORMAT = "pivot-checkpoint"
FORMAT_VERSION = 2


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Everything that changes during training; ``step`` apart, it is changed in place."""

    policy: LLMPolicy
    """Its adapter and its sampling generator count."""
    optimizer: torch.optim.Optimizer
    counter: TurnCounter
    step: int
    config: Mapping[str, Any]
    """The trainer's class and settings, which must be the same when training goes on."""
    curriculum: Curriculum | None = None
    """What it has learned counts."""


def save_checkpoint(path: str | os.PathLike[str], state: TrainingState) -> None:
    """Write a checkpoint; the file at ``path`` is the old or the new one, never a part of one.

    Raises:
        CheckpointError: The file cannot be written.
    """
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "config": dict(state.config),
        "step": state.step,
        "counter": state.counter.as_dict(),
        "adapter": get_peft_model_state_dict(state.policy.model),
        "optimizer": state.optimizer.state_dict(),
        "generator": state.policy.generator.get_state(),
        "curriculum": {} if state.curriculum is None else state.curriculum.state(),
    }
    target = Path(path)
    # One name for all tries, so that a process that is killed here leaves one file and not many.
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"cannot write the checkpoint {target}: {error}") from error


def load_checkpoint(path: str | os.PathLike[str], state: TrainingState) -> int:
    """Bring a checkpoint back into ``state`` and return its number of finished steps.

    Raises:
        CheckpointError: The file cannot be read, is no checkpoint, or belongs to another trainer
            or other settings; ``state`` is unchanged.
    """
    target = Path(path)
    try:
        content = torch.load(target, map_location=state.policy.model.device, weights_only=True)
        if content["format"] != FORMAT or content["version"] != FORMAT_VERSION:
            raise ValueError(f"format {content['format']!r}, version {content['version']!r}")
        config, step = content["config"], int(content["step"])
    except Exception as error:
        # torch.load raises whatever the damaged bytes lead it to.
        raise CheckpointError(f"cannot read the checkpoint {target}: {error!r:.300}") from error
    if config != dict(state.config):
        changed = sorted(
            key
            for key in {*config, *state.config}
            if config.get(key, "nothing") != state.config.get(key, "nothing")
        )
        raise CheckpointError(
            f"the checkpoint {target} was made with other settings ({', '.join(changed)} differ); "
            "resume with the same ones or start anew"
        )
    set_peft_model_state_dict(state.policy.model, content["adapter"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.policy.generator.set_state(content["generator"].cpu())
    state.counter.load(content["counter"])
    if state.curriculum is not None:
        state.curriculum.load(content["curriculum"])
    return step
