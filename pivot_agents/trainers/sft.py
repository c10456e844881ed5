"""SFTTrainer, which imitates demonstrations."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pivot_agents.accounting import TurnCounter
from pivot_agents.llm import LLMPolicy
from pivot_agents.losses import cross_entropy
from pivot_agents.rows import completion_logprobs, demonstrated_row
from pivot_agents.trainers.adapter_trainer import AdapterTrainer
from pivot_agents.trainers.metrics import StepMetrics
from pivot_envs import ToolSpec
from pivot_envs.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class SFTConfig:
    """Settings of SFT."""

    max_steps: int
    learning_rate: float = 1e-3
    episodes_per_step: int = 16
    grad_clip: float = 1.0
    micro_batch_tokens: int = 8192
    """Most tokens that go through the model together, padding included."""
    seed: int = 0
    """Seed of the order in which demonstrations are shown."""


class SFTTrainer(AdapterTrainer):
    """Trains on the actions of demonstrations with cross-entropy; observations have no loss."""

    def __init__(
        self,
        policy: LLMPolicy,
        demonstrations: Sequence[Trajectory],
        config: SFTConfig,
        *,
        tools: Sequence[ToolSpec] = (),
        counter: TurnCounter | None = None,
    ) -> None:
        """Prepare training.

        Args:
            policy: Changed in place; its model must carry an adapter.
            demonstrations: Episodes worth imitating.
            config: The settings.
            tools: The tools of the environment, for chat templates that describe them.
            counter: Only kept in checkpoints: SFT rolls nothing out.

        Raises:
            ValueError: There is no demonstration, or the model carries no adapter.
        """
        super().__init__(policy, config.learning_rate, config.grad_clip, counter)
        if not demonstrations:
            raise ValueError("demonstrations must hold at least one trajectory, got none")
        self.config = config
        self._rows = [demonstrated_row(policy.chat, one, tools) for one in demonstrations]

    @property
    def done_share(self) -> float:
        """How much of ``max_steps`` is done, in [0, 1]."""
        return min(1.0, self.step / self.config.max_steps) if self.config.max_steps else 1.0

    def _train_step(self) -> StepMetrics:
        began, cpu_began = time.perf_counter(), time.process_time()
        rows = [self._rows[index] for index in self.processes.share(self._chosen())]
        batches = self._pack(rows, self.config.micro_batch_tokens)
        model = self.policy.model
        loss, norm = self._update(
            batches, lambda _, batch: cross_entropy(completion_logprobs(model, batch))
        )
        tokens = sum(len(batch.targets) for batch in batches)
        shares = self.processes.gather((loss, tokens))
        return StepMetrics(
            step=self.step + 1,
            loss=sum(share[0] for share in shares),
            trained_tokens=sum(share[1] for share in shares),
            gradient_norm=norm,
            wall_s=time.perf_counter() - began,
            cpu_s=time.process_time() - cpu_began,
        )

    def _chosen(self) -> list[int]:
        """Return which rows the step trains on: each epoch shows all, in an order of its own."""
        count, size = len(self._rows), self.config.episodes_per_step
        places = range(self.step * size, (self.step + 1) * size)
        orders = {
            epoch: np.random.default_rng([self.config.seed, epoch]).permutation(count)
            for epoch in {place // count for place in places}
        }
        return [int(orders[place // count][place % count]) for place in places]

    def _settings(self) -> Mapping[str, Any]:
        # A longer run may go on from a shorter one.
        settings = {**asdict(self.config), "demonstrations": len(self._rows)}
        return {name: value for name, value in settings.items() if name != "max_steps"}
