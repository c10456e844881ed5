"""PolicyGradientTrainer, which learns from its own rollouts, wherever they start."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from pivot_agents import lora
from pivot_agents.accounting import Tally, TurnCounter
from pivot_agents.checkpoint import TrainingState
from pivot_agents.curriculum import Curriculum, GrowingCurriculum, SeededStarts
from pivot_agents.llm import LLMPolicy
from pivot_agents.losses import clipped_policy_gradient, kl_to_reference, probability_ratios
from pivot_agents.pool import EnvPool
from pivot_agents.rollout import RollOut, rollout
from pivot_agents.rows import Batch, TrainingRow, completion_logprobs, sampled_row
from pivot_agents.scoring import score
from pivot_agents.trainers import groups
from pivot_agents.trainers.adapter_trainer import AdapterTrainer
from pivot_agents.trainers.metrics import StepMetrics
from pivot_agents.trainers.policy_gradient_config import PolicyGradientConfig
from pivot_envs.errors import InfraError
from pivot_envs.trajectory import Trajectory

__all__ = ["PolicyGradientConfig", "PolicyGradientTrainer"]


class PolicyGradientTrainer(AdapterTrainer):
    """Group-normalised clipped policy gradient (arXiv:2402.03300) with a KL to the base model.

    It knows nothing of tasks and pivots: group ``i`` of step ``t`` resets its environments with a
    seed made of ``(seed, t, i)``, so that a group shares its start, and the draws of its episodes
    are seeded alike: a step that is begun again, or shared among processes, sees the same episodes.
    A ``Curriculum`` such as ``LazyProfiler`` chooses the starts itself and hears of the rewards.
    Groups whose rewards are all equal teach nothing and cost no pass of the model, unless they are
    to hold it where it is (``anchors_silent``).

    End-to-end training is this trainer over plain environments; pivot training (arXiv:2603.21383)
    is this trainer over ``PivotResetWrapper(env, pivots)`` with a short horizon.
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
            roll_out: Runs the episodes: ``rollout``, or what scores them in another way.

        Raises:
            ValueError: The settings make no sense, the temperature is not 1, or the model carries
                no adapter.
        """
        super().__init__(policy, config.learning_rate, config.grad_clip, counter)
        config.check()
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
    def done_share(self) -> float:
        """How much of the steps or of the turns is used up, the larger share, in [0, 1]."""
        budgets = (
            (self.step, self.config.max_steps),
            (self.counter.learning.turns, self.config.turn_budget),
        )
        shares = [done / total if total else 1.0 for done, total in budgets if total is not None]
        return min(1.0, max(shares))

    def _train_step(self) -> StepMetrics:
        began, cpu_began = time.perf_counter(), time.process_time()
        episodes, tally = self._roll_out()
        rolled_out_s = time.perf_counter() - began
        mine = score(
            episodes,
            self.config.group_size,
            self.config.advantage,
            mask_truncated=self.config.mask_truncated,
            horizon=self.config.horizon,
            end_id=self.policy.sampling.end_id,
            keeps_silent=self.config.anchors_silent,
        )
        self._teach_curriculum(episodes)
        pairs = zip(mine.trained, mine.advantages, strict=True)
        rows = [sampled_row(episodes[index], worth) for index, worth in pairs]
        counted = self.config.counts_silent
        update = self._learn(rows, (mine.silent, mine.silent_tokens) if counted else (0, 0))
        scores = self.processes.gather(mine)
        scored = sum(one.scored for one in scores)
        mixed_groups = sum(one.mixed_groups for one in scores)
        compared = sum(one.compared_groups for one in scores)
        return replace(
            update,
            reward_mean=sum(one.reward_sum for one in scores) / scored if scored else None,
            zero_variance_share=1 - mixed_groups / compared if compared else None,
            infra_errors=sum(one.infra_errors for one in scores),
            masked_truncations=sum(one.masked for one in scores),
            turns=tally.turns,
            generated_tokens=tally.generated_tokens,
            rollout_s=rolled_out_s,
            wall_s=time.perf_counter() - began,
            cpu_s=time.process_time() - cpu_began,
        )

    def _roll_out(self) -> tuple[list[Trajectory], Tally]:
        """Run this process's groups; returns their episodes, and what those of all cost."""
        count, size = self.config.groups_per_step, self.config.group_size
        dealt = list(enumerate(self._curriculum.starts(self.step, count)))
        starts = []
        for number, start in self.processes.share(dealt):
            sequence = np.random.SeedSequence([self.config.seed, self.step, number])
            draws = sequence.generate_state(1 + size).tolist()[1:]
            starts += [replace(start, draw_seed=draw) for draw in draws]
        counter = TurnCounter()
        episodes = self._run_episodes(
            self._pool,
            self.policy,
            starts,
            horizon=self.config.horizon,
            purpose="train",
            counter=counter,
        )
        tally = sum(self.processes.gather(counter["train"]), Tally())
        if not tally.turns:
            reason = episodes[0].infra_error if episodes else "another process knows why"
            raise InfraError(f"none of the step's episodes could begin: {reason}")
        self.counter.add("train", tally)
        return episodes, tally

    def _teach_curriculum(self, episodes: Sequence[Trajectory]) -> None:
        """Tell the curriculum what came of its starts, on all processes alike."""
        size, count = self.config.group_size, self.config.groups_per_step
        share = partial(groups.by_group, processes=self.processes, groups=count, group_size=size)
        self._curriculum.observe(self.step, share(groups.rewards(episodes)))
        if isinstance(self._curriculum, GrowingCurriculum):
            self._curriculum.reach(self.step, share(groups.reached(episodes)))

    def _learn(self, rows: Sequence[TrainingRow], silent: tuple[int, int]) -> StepMetrics:
        """Update on the rows of all processes; without any, nothing changes.

        ``silent`` are the episodes and tokens that count in the means without a row.
        """
        config = self.config
        # Dr. GRPO's constant is the most that can be generated.
        budget = self.policy.sampling.max_new_tokens * (config.horizon or 1)
        batches = self._pack(rows, config.micro_batch_tokens, config.aggregation, budget, silent)
        tokens = sum(self.processes.gather(sum(len(batch.targets) for batch in batches)))
        if not tokens:
            return StepMetrics(self.step + 1, loss=0.0, trained_tokens=0, gradient_norm=0.0)
        if not self.policy.samples_exactly:
            batches = [self._with_exact_logprobs(batch) for batch in batches]
        references = [self._reference_logprobs(batch) for batch in batches]
        for _ in range(config.updates_per_step):
            seen = _Seen()
            loss, norm = self._update(batches, partial(self._loss, references, seen))
        shares = self.processes.gather((loss, seen.kl_sum, seen.clipped))
        loss, kl_sum, clipped = (sum(share[place] for share in shares) for place in range(3))
        return StepMetrics(
            step=self.step + 1,
            loss=loss,
            trained_tokens=tokens,
            gradient_norm=norm,
            kl=kl_sum / tokens,
            clipped_share=clipped / tokens,
        )

    @torch.no_grad()
    def _with_exact_logprobs(self, batch: Batch) -> Batch:
        return replace(batch, old_logprobs=completion_logprobs(self.policy.model, batch))

    @torch.no_grad()
    def _reference_logprobs(self, batch: Batch) -> torch.Tensor | None:
        if self.config.kl_coef == 0:
            return None
        with lora.reference(self.policy.model) as model:
            return completion_logprobs(model, batch)

    def _loss(
        self,
        references: Sequence[torch.Tensor | None],
        seen: "_Seen",
        number: int,
        batch: Batch,
    ) -> torch.Tensor:
        """Loss per target, (targets,), of one micro-batch; adds to what is ``seen``."""
        config, reference = self.config, references[number]
        logprobs = completion_logprobs(self.policy.model, batch)
        sequences = batch.rows if config.ratio == "sequence" else None
        ratios = probability_ratios(logprobs, batch.old_logprobs, sequences)
        low, high = config.clip_low, config.clip_high
        loss = clipped_policy_gradient(ratios, batch.advantages, clip_low=low, clip_high=high)
        seen.clipped += int(((ratios < 1 - low) | (ratios > 1 + high)).sum())
        if reference is None:
            return loss
        kl = kl_to_reference(logprobs, reference)
        seen.kl_sum += kl.sum().item()
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


@dataclass(slots=True)
class _Seen:
    """Sums over the micro-batches of one update."""

    kl_sum: float = 0.0
    clipped: int = 0
    """Tokens whose ratio is beyond the clip range."""
