"""AdapterTrainer, what the trainers share: an adapter, its optimizer, steps and checkpoints."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from pivot_agents import lora
from pivot_agents.accounting import TurnCounter
from pivot_agents.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from pivot_agents.llm import LLMPolicy
from pivot_agents.losses import Aggregation, token_weights
from pivot_agents.processes import Processes
from pivot_agents.rows import Batch, TrainingRow, pack
from pivot_agents.trainers.metrics import StepMetrics

BatchLoss = Callable[[int, Batch], torch.Tensor]
"""The loss of the micro-batch of a number: per target, (targets,)."""


class AdapterTrainer(ABC):
    """Trains the adapter of a policy step by step with AdamW.

    Under a launcher such as ``torchrun`` every process does its share of each step and all hold the
    same weights; the first writes the checkpoints, and all read them.
    """

    def __init__(
        self, policy: LLMPolicy, learning_rate: float, grad_clip: float, counter: TurnCounter | None
    ) -> None:
        """Prepare training.

        Args:
            policy: Changed in place; its model must carry an adapter.
            learning_rate: Constant learning rate of AdamW, without weight decay.
            grad_clip: Largest norm of the gradient.
            counter: Counts what rollouts cost; a new one by default.

        Raises:
            ValueError: The model carries no adapter.
        """
        if not lora.is_attached(policy.model):
            raise ValueError("the policy's model has no adapter; use policy.with_adapter()")
        self.policy = policy
        self.counter = counter or TurnCounter()
        self.step = 0
        self.processes = Processes.current(policy.model.device)
        """Those that train this policy together."""
        self._grad_clip = grad_clip
        self._parameters = lora.trainable(policy.model)
        self._optimizer = torch.optim.AdamW(self._parameters, lr=learning_rate, weight_decay=0.0)

    def train(self) -> Iterator[StepMetrics]:
        """Train to the end of the budget; yields the metrics of each step after it."""
        while not self.is_done:
            metrics = self._train_step()
            self.step += 1
            yield metrics

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, between two steps; only the first of several processes does.

        Raises:
            CheckpointError: The file cannot be written.
        """
        if self.processes.rank == 0:
            save_checkpoint(path, self._state())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint of a trainer with the same settings.

        Raises:
            CheckpointError: The file is damaged or belongs to another trainer or other settings.
        """
        self.step = load_checkpoint(path, self._state())

    @property
    def is_done(self) -> bool:
        """Whether the budget is used up."""
        return self.done_share >= 1

    @property
    @abstractmethod
    def done_share(self) -> float:
        """How much of the budget is used up, in [0, 1]."""

    @abstractmethod
    def _train_step(self) -> StepMetrics:
        """Do one step."""

    @abstractmethod
    def _settings(self) -> Mapping[str, Any]:
        """Return the settings that a checkpoint is bound to."""

    def _state(self) -> TrainingState:
        config = {"trainer": type(self).__name__, **self._settings()}
        return TrainingState(self.policy, self._optimizer, self.counter, self.step, config)

    def _pack(
        self,
        rows: Sequence[TrainingRow],
        micro_batch_tokens: int,
        aggregation: Aggregation = "token",
        max_tokens: int = 1,
        silent: tuple[int, int] = (0, 0),
    ) -> list[Batch]:
        """Weigh this process's rows among those of all, and arrange them in micro-batches.

        ``silent`` are sequences and tokens of this process that count in the means without a row.
        """
        lengths = torch.tensor([row.targets for row in rows], dtype=torch.int64)
        mine = len(rows) + silent[0], int(lengths.sum()) + silent[1]
        shares = self.processes.gather(mine)
        total = sum(share[0] for share in shares), sum(share[1] for share in shares)
        weights = token_weights(lengths, aggregation, total=total, max_tokens=max_tokens).tolist()
        weighed = [replace(row, weight=one) for row, one in zip(rows, weights, strict=True)]
        device = self.policy.model.device
        return [
            batch.to(device) for batch in pack(weighed, micro_batch_tokens, self.policy.chat.pad_id)
        ]

    def _update(self, batches: Sequence[Batch], loss_of: BatchLoss) -> tuple[float, float]:
        """Take one optimizer step on the weighted sum of all targets' losses.

        The gradients of micro-batches and processes add up to that of one large batch.

        Returns:
            This process's part of the loss, and the norm of the whole gradient before clipping.
        """
        loss_sum = 0.0
        for number, batch in enumerate(batches):
            loss = (loss_of(number, batch) * batch.weights).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            loss_sum += loss.item()
        self.processes.sum_gradients(self._parameters)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._grad_clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss_sum, norm.item()
