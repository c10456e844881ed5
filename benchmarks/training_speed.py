"""Measure the learner beside what people use: TRL's GRPOTrainer, and ``generate`` at every turn.

``python -m benchmarks.training_speed`` lets both sides take turns in one run and prints medians and
ratios. It needs the extra ``trl``.
"""

import functools
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.generation_speed import measure_generation, measure_packing
from benchmarks.run_directory import surroundings
from benchmarks.side_by_side import Comparison, Times
from pivot_agents.llm import LLMPolicy
from pivot_agents.lora import LoRAConfig
from pivot_agents.policy import Context
from pivot_agents.pool import EnvPool
from pivot_agents.trainers.policy_gradient import PolicyGradientConfig, PolicyGradientTrainer
from pivot_envs import Message
from pivot_envs.coding.task_file import default_tasks_path, read_tasks
from pivot_envs.errors import PivotError
from pivot_envs.spaces import UnicodeText

LEARNING_RATE = 1e-5
"""Small, so that both policies stay what they were and go on to sample texts of like lengths."""
KL_COEF = 0.05


@dataclass(frozen=True)
class Arguments:
    """Measure the learner beside TRL and generate."""

    model: str = "benchmarks/models/base"
    """Folder or hub id of a causal language model with a chat template."""
    steps: int = 7
    """Repetitions that count, after one that warms up."""
    pivots: int = 16
    """Prompts of a training step."""
    samples: int = 8
    """Completions of each prompt."""
    prompt_tokens: int = 256
    """Least tokens of a prompt."""
    turns: int = 6
    """Turns of the episodes that generation is measured on."""
    threads: int = 1
    """Threads of torch."""
    out: Path | None = None
    """JSON file to write."""


def reward(text: str) -> float:
    """Return 1 for a text of odd length: nearly every group is mixed, so that no work is saved."""
    return float(len(text) % 2)


class OneTurnEnv(gym.Env[str, str]):
    """Asks one of the given texts and rewards the answer; the seed of the reset chooses."""

    action_space = UnicodeText()
    observation_space = UnicodeText()
    tools = ()

    def __init__(self, prompts: Sequence[str]) -> None:
        """Prepare the texts."""
        self._prompts = prompts
        self.messages: tuple[Message, ...] = ()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        prompt = self._prompts[(seed or 0) % len(self._prompts)]
        self.messages = (Message("user", prompt),)
        return prompt, {"task_id": "", "infra_error": None}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Reward the answer and end."""
        info = {"infra_error": None, "action_error": None, "is_success": False}
        return "", reward(action), True, False, info


def measure_step(policy: LLMPolicy, prompts: Sequence[str], samples: int, steps: int) -> Comparison:
    """Compare training steps on the same prompts: sampling, rewards, KL to the base, update.

    Raises:
        ModuleNotFoundError: TRL is not installed.
    """
    from transformers import TrainerCallback

    ours, theirs = Times("ours"), Times("TRL GRPOTrainer")
    config = PolicyGradientConfig(
        max_steps=steps + 1,
        groups_per_step=len(prompts),
        group_size=samples,
        learning_rate=LEARNING_RATE,
        kl_coef=KL_COEF,
    )
    seen: list[Any] = []

    class TakeTurns(TrainerCallback):  # type: ignore[misc]
        """Times a step of TRL, and lets ours do one after it."""

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.running = theirs.measured()
            self.running.__enter__()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.running.__exit__(None, None, None)
            with ours.measured():
                seen.append(next(own_steps))

    with EnvPool(functools.partial(OneTurnEnv, prompts), 64) as pool:
        trainer = PolicyGradientTrainer(policy.with_adapter(), pool, config)
        own_steps = trainer.train()
        with tempfile.TemporaryDirectory() as folder:
            trl = _trl_trainer(policy, prompts, samples, steps + 1, folder)
            trl.add_callback(TakeTurns())
            trl.train()
    for times in (ours, theirs):
        times.forget_first()
    logged = [line for line in trl.state.log_history if "completions/mean_length" in line]
    facts = {
        "pivots": len(prompts),
        "samples": samples,
        "samples_per_s": {
            one.name: round(len(prompts) * samples / statistics.median(one.wall_s), 1)
            for one in (ours, theirs)
        },
        "mean_completion_tokens": {
            "ours": statistics.mean(one.generated_tokens / one.turns for one in seen),
            "TRL": statistics.mean(line["completions/mean_length"] for line in logged),
        },
        "mean_reward": {
            "ours": statistics.mean(one.reward_mean for one in seen),
            "TRL": statistics.mean(line["reward"] for line in logged),
        },
        "zero_variance_share": statistics.mean(one.zero_variance_share for one in seen),
    }
    name = f"training step, {len(prompts)} pivots of {samples} samples"
    return Comparison(name, ours, theirs, target=6.0, facts=facts)


def _trl_trainer(
    policy: LLMPolicy, prompts: Sequence[str], samples: int, steps: int, folder: str
) -> Any:
    """Return TRL's trainer with the same model, adapter, prompts, rewards and loss."""
    import copy

    from datasets import Dataset
    from peft import LoraConfig
    from trl import GRPOConfig, GRPOTrainer

    lora = LoRAConfig()
    config = GRPOConfig(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=len(prompts) * samples,
        steps_per_generation=1,
        num_generations=samples,
        max_completion_length=policy.sampling.max_new_tokens,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        beta=KL_COEF,
        use_cpu=policy.model.device.type == "cpu",
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    asked = [{"prompt": [{"role": "user", "content": text}]} for text in prompts]

    def rewards(completions: Sequence[Any], **_: Any) -> list[float]:
        return [reward(completion[0]["content"]) for completion in completions]

    return GRPOTrainer(
        model=copy.deepcopy(policy.model),
        reward_funcs=rewards,
        args=config,
        train_dataset=Dataset.from_list(asked),
        processing_class=policy.chat.tokenizer,
        peft_config=LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=0.0,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )


def draw_prompts(policy: LLMPolicy, count: int, least_tokens: int) -> list[str]:
    """Return texts of at least so many tokens, joined from issues of the shipped tasks."""
    issues = sorted({task.issue for task in read_tasks(default_tasks_path())})
    prompts = []
    for start in range(count):
        parts: list[str] = []
        while len(_ids(policy, "\n".join(parts))) < least_tokens:
            parts.append(issues[(start + 7 * len(parts)) % len(issues)])
        prompts.append("\n".join(parts))
    return prompts


def _ids(policy: LLMPolicy, text: str) -> tuple[int, ...]:
    return policy.chat.prompt_ids(Context((Message("user", text),), ()))


def main(arguments: Arguments) -> None:
    """Measure, print, and write.

    Raises:
        SystemExit: The model cannot be loaded, or TRL is not installed.
    """
    torch.set_num_threads(arguments.threads)
    steps = arguments.steps
    try:
        policy = LLMPolicy.load(arguments.model, max_new_tokens=64)
        policy.model.requires_grad_(False)
        texts = draw_prompts(policy, arguments.pivots, arguments.prompt_tokens)
        ids = [_ids(policy, text) for text in texts]
        comparisons = [
            measure_generation(policy, ids, arguments.turns, steps),
            measure_packing(policy, ids, arguments.samples, steps),
            measure_step(policy, texts, arguments.samples, steps),
        ]
    except PivotError as error:
        raise SystemExit(f"error: {error}") from error
    except ModuleNotFoundError as error:
        raise SystemExit(f"error: {error}; run pip install 'pivotrl-envs[train,trl]'") from error
    _print(comparisons)
    if arguments.out is not None:
        content = {
            "arguments": {**asdict(arguments), "out": None},
            "load": os.getloadavg(),
            "made_with": surroundings(),
            "comparisons": [one.as_dict() for one in comparisons],
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(content, indent=2) + "\n")


def _print(comparisons: Sequence[Comparison]) -> None:
    table = Table("", "median s", "min s", "median CPU s", "ratio wall", "ratio CPU", "target")
    for each in comparisons:
        table.add_row(each.name, "", "", "", "", "", "", style="bold")
        for one in (each.ours, each.other):
            ours = one is each.ours
            table.add_row(
                f"  {one.name}",
                f"{statistics.median(one.wall_s):.3f}",
                f"{min(one.wall_s):.3f}",
                f"{statistics.median(one.cpu_s):.3f}",
                f"{each.wall_ratio:.1f}" if ours else "",
                f"{each.cpu_ratio:.1f}" if ours else "",
                f"{each.target:g}" if ours and each.target is not None else "",
            )
    console = Console()
    console.print(table)
    for each in comparisons:
        console.print(f"{each.name}: {each.facts}")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
