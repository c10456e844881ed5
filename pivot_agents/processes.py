"""Processes, those that train one policy together, each on its share of the episodes."""

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed
from accelerate import PartialState

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that a launcher such as ``torchrun`` has started; otherwise this one alone."""

    rank: int = 0
    count: int = 1

    @classmethod
    def current(cls, device: torch.device) -> "Processes":
        """Join the processes of the launcher, over gloo on processors and NCCL on NVIDIA GPUs.

        What is joined here over gloo is left at the interpreter's exit.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        joined_before = torch.distributed.is_initialized()
        state = PartialState(cpu=device.type == "cpu")
        if not joined_before and torch.distributed.get_backend() == "gloo":
            atexit.register(_leave)
        return cls(state.process_index, state.num_processes)

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return this process's part of ``items``; the parts of all make up the whole."""
        return items[self.rank :: self.count]

    def gather(self, item: Any) -> list[Any]:
        """Return the item of every process, in the order of their ranks."""
        if self.count == 1:
            return [item]
        items: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(items, item)
        return items

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Give every process the sum of all processes' gradients; a missing one counts as 0."""
        if self.count == 1:
            return
        flat = torch.cat(
            [
                (torch.zeros_like(one) if one.grad is None else one.grad).flatten()
                for one in parameters
            ]
        )
        torch.distributed.all_reduce(flat)
        start = 0
        for one in parameters:
            one.grad = flat[start : start + one.numel()].view_as(one).clone()
            start += one.numel()


def _leave() -> None:
    """End gloo's threads while the interpreter still runs.

    One that lets go of its last tensor while the interpreter is taken down aborts the process
    (SIGABRT, "terminate called without an active exception"); torch does not end them by itself.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
