"""PolicyGradientTrainer, which learns from its own rollouts, wherever they start."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch

from pivot_agents import lora
from pivot_agents.accounting import TurnCounter
from pivot_agents.checkpoint import TrainingState
from pivot_agents.curriculum import Curriculum, SeededStarts
from pivot_agents.llm import LLMPolicy
from pivot_agents.losses import (
    AdvantageKind,
    clipped_policy_gradient,
    group_advantages,
    is_mixed,
    kl_to_reference,
)
from pivot_agents.pool import EnvPool
from pivot_agents.rollout import RollOut, rollout
from pivot_agents.rows import Batch, completion_logprobs, pack, sampled_row
from pivot_agents.trainers.adapter_trainer import AdapterTrainer
from pivot_agents.trainers.metrics import StepMetrics
from pivot_envs.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class PolicyGradientConfig:
    """Settings of the policy gradient."""

    max_steps: int | None = None
    turn_budget: int | None = None
    """Training ends with the step that brings the counter's learning turns to this number."""
    horizon: int | None = None
    """Most turns of an episode; ``None`` leaves the end to the environment."""
    groups_per_step: int = 8
    group_size: int = 8
    """Episodes from the same start."""
    learning_rate: float = 1e-3
    clip_low: float = 0.2
    clip_high: float = 0.2
    kl_coef: float = 0.02
    """Weight of the KL to the model without its adapter."""
    advantage: AdvantageKind = "std"
    updates_per_step: int = 1
    """Optimizer steps on the same rollouts; the clipping matters from the second on."""
    grad_clip: float = 1.0
    micro_batch_tokens: int = 8192
    """Most tokens that go through the model together, padding included."""
    seed: int = 0
    """Seed of the starts."""


class PolicyGradientTrainer(AdapterTrainer):
    """Group-normalised clipped policy gradient (arXiv:2402.03300) with a KL to the base model.

    It knows nothing of tasks and pivots: by default group ``i`` of step ``t`` resets its
    environments with a seed made of ``(seed, t, i)``, so that a group shares its start. End-to-end
    training is this trainer over plain environments; pivot training (arXiv:2603.21383) is this
    trainer over ``PivotResetWrapper(env, pivots)`` with a short horizon. A ``Curriculum`` such as
    ``LazyProfiler`` chooses the starts itself and learns from the rewards.
    """

    def __init__(
        self,
        policy: LLMPolicy,
        pool: EnvPool,
        config: PolicyGradientConfig,
        *,
        counter: TurnCounter | None = None,
        curriculum: Curriculum | None = None,
        roll_out: RollOut = rollout,
    ) -> None:
        """Prepare training.

        Args:
            policy: Changed in place; its model must carry an adapter, its temperature must be 1.
            pool: Where episodes run.
            config: The settings.
            counter: Counts turns; it may hold those of profiling already.
            curriculum: Chooses where groups start; by default the environment does, by its seed.
            roll_out: Runs the episodes; ``rollout``, or what scores them in another way.

        Raises:
            ValueError: There is neither a number of steps nor a budget of turns, a group has fewer
                than two episodes, the temperature is not 1, or the model carries no adapter.
        """
        super().__init__(policy, config.learning_rate, config.grad_clip, counter)
        if config.max_steps is None and config.turn_budget is None:
            raise ValueError("set max_steps or turn_budget, or training would never end")
        if config.group_size < 2:
            raise ValueError(f"group_size must be at least 2, got {config.group_size}")
        if policy.sampling.temperature != 1.0:
            raise ValueError(
                "the policy must sample at temperature 1, where its log-probabilities are taken, "
                f"got {policy.sampling.temperature}"
            )
        self.config = config
        self._pool = pool
        self._curriculum = SeededStarts(config.seed) if curriculum is None else curriculum
        self._run_episodes = roll_out

    @property
    def is_done(self) -> bool:
        """Whether the steps or the turns are used up."""
        steps, budget = self.config.max_steps, self.config.turn_budget
        out_of_steps = steps is not None and self.step >= steps
        return out_of_steps or (budget is not None and self.counter.learning.turns >= budget)

    def _train_step(self) -> StepMetrics:
        began = time.perf_counter()
        before = self.counter["train"]
        episodes = self._roll_out()
        valid = [index for index, episode in enumerate(episodes) if episode.is_scored]
        returns = torch.tensor([episodes[index].return_ for index in valid])
        groups = torch.tensor(valid, dtype=torch.int64) // self.config.group_size
        self._curriculum.observe(
            self.step,
            [returns[groups == group].tolist() for group in range(self.config.groups_per_step)],
        )
        advantages = group_advantages(returns, groups, self.config.advantage)
        mixed = is_mixed(returns, groups)
        chosen = [
            episodes[index] for index, take in zip(valid, mixed.tolist(), strict=True) if take
        ]
        update = self._learn(chosen, advantages[mixed].tolist())
        after = self.counter["train"]
        mixed_groups = len(set(groups[mixed].tolist()))
        return replace(
            update,
            reward_mean=returns.mean().item() if valid else None,
            zero_variance_share=1 - mixed_groups / self.config.groups_per_step,
            infra_errors=len(episodes) - len(valid),
            turns=after.turns - before.turns,
            generated_tokens=after.generated_tokens - before.generated_tokens,
            wall_s=time.perf_counter() - began,
        )

    def _roll_out(self) -> list[Trajectory]:
        starts = self._curriculum.starts(self.step, self.config.groups_per_step)
        return self._run_episodes(
            self._pool,
            self.policy,
            [start for start in starts for _ in range(self.config.group_size)],
            horizon=self.config.horizon,
            purpose="train",
            counter=self.counter,
        )

    def _learn(self, episodes: Sequence[Trajectory], advantages: Sequence[float]) -> StepMetrics:
        """Update on episodes of mixed groups; without any, nothing changes."""
        if not episodes:
            return StepMetrics(self.step + 1, loss=0.0, trained_tokens=0, gradient_norm=0.0)
        rows = [sampled_row(*pair) for pair in zip(episodes, advantages, strict=True)]
        batches = pack(rows, self.config.micro_batch_tokens, self.policy.chat.pad_id)
        total = sum(len(batch.targets) for batch in batches)
        for _ in range(self.config.updates_per_step):
            kl_sums: list[float] = []
            loss, norm = self._update(batches, partial(self._loss, kl_sums=kl_sums))
        return StepMetrics(
            step=self.step + 1,
            loss=loss,
            trained_tokens=total,
            gradient_norm=norm,
            kl=sum(kl_sums) / total,
        )

    def _loss(self, batch: Batch, kl_sums: list[float]) -> torch.Tensor:
        """Loss per target, (targets,); appends the sum of the KL estimates."""
        model, config = self.policy.model, self.config
        logprobs = completion_logprobs(model, batch)
        loss = clipped_policy_gradient(
            logprobs,
            batch.old_logprobs,
            batch.advantages,
            clip_low=config.clip_low,
            clip_high=config.clip_high,
        )
        if config.kl_coef == 0:
            return loss
        with lora.reference(model), torch.no_grad():
            reference_logprobs = completion_logprobs(model, batch)
        kl = kl_to_reference(logprobs, reference_logprobs)
        kl_sums.append(kl.sum().item())
        return loss + config.kl_coef * kl

    def _settings(self) -> Mapping[str, Any]:
        # A longer run may go on from a shorter one.
        limits = {"max_steps", "turn_budget"}
        settings = {
            name: value for name, value in asdict(self.config).items() if name not in limits
        }
        return {**settings, **self._curriculum.settings()}

    def _state(self) -> TrainingState:
        return replace(super()._state(), curriculum=self._curriculum)
