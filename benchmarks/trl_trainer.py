"""TRL's GRPOTrainer with the model, adapter, prompts, rewards and loss of ours, step by step."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

from transformers import TrainerCallback

from benchmarks.side_by_side import Times
from pivot_agents.llm import LLMPolicy
from pivot_agents.lora import LoRAConfig


class TakeTurns(TrainerCallback):  # type: ignore[misc]
    """Times the steps of the trainer, and does something else after each."""

    def __init__(self, times: Times, then: Callable[[], None]) -> None:
        """Keep times in ``times``; ``then`` is called between steps."""
        self._times = times
        self._then = then

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Begin to time."""
        self._running = self._times.measured()
        self._running.__enter__()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """End it, and let the others work."""
        self._running.__exit__(None, None, None)
        self._then()


def trl_trainer(
    policy: LLMPolicy,
    prompts: Sequence[str],
    settings: dict[str, Any],
    callback: TrainerCallback,
) -> Any:
    """Return the trainer; ``settings`` are those of its ``GRPOConfig``.

    Raises:
        ModuleNotFoundError: TRL is not installed.
    """
    from datasets import Dataset
    from peft import LoraConfig
    from trl import GRPOConfig, GRPOTrainer

    def rewards(completions: Sequence[Any], **_: Any) -> list[float]:
        return [float(place % 2) for place in range(len(completions))]

    lora = LoRAConfig()
    asked = [{"prompt": [{"role": "user", "content": text}]} for text in prompts]
    return GRPOTrainer(
        model=copy.deepcopy(policy.model),
        reward_funcs=rewards,
        args=GRPOConfig(**settings),
        train_dataset=Dataset.from_list(asked),
        processing_class=policy.chat.tokenizer,
        peft_config=LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=0.0,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
        callbacks=[callback],
    )


def grpo_settings(policy: LLMPolicy, prompts: int, samples: int, **others: Any) -> dict[str, Any]:
    """Return the settings of a step over all prompts as ours does it: one update, no saving."""
    return {
        "per_device_train_batch_size": prompts * samples,
        "steps_per_generation": 1,
        "num_generations": samples,
        "max_completion_length": policy.sampling.max_new_tokens,
        "generation_kwargs": {"min_new_tokens": policy.sampling.max_new_tokens},
        "lr_scheduler_type": "constant",
        "use_cpu": policy.model.device.type == "cpu",
        "bf16": False,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        **others,
    }
