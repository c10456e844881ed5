"""Batches of corpus rows, of few shapes and with a weight in the loss for each token."""

import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.corpus import OBSERVATION_SHARE, OBSERVATION_WEIGHT, Row

LENGTH_STEP = 32
"""Rows are padded to multiples of this."""
COUNT_STEP = 512
"""So many tokens of a batch, or a multiple, count in the loss. Few lengths and counts mean few
shapes: the processor's kernels are compiled once for each."""


class Sampler:
    """Draws batches of rows of similar length from a mixture of row kinds."""

    def __init__(self, rows: Mapping[str, Sequence[Row]], batch_tokens: int, seed: int) -> None:
        self._rows = rows
        self._batch_tokens = batch_tokens
        self._seed = seed

    def batches(self, mixture: Mapping[str, float], start: int) -> Iterator[list[Row]]:
        """Yield batches for ever; ``start`` makes a resumed run draw others."""
        kinds = [kind for kind in mixture if self._rows.get(kind)]
        weights = [mixture[kind] for kind in kinds]
        generator = random.Random(f"{self._seed} {start}")
        waiting: dict[int, list[Row]] = defaultdict(list)
        while True:
            row = generator.choice(self._rows[generator.choices(kinds, weights)[0]])
            length = padded_length(row)
            waiting[length].append(row)
            if len(waiting[length]) == self._batch_tokens // length:
                yield waiting.pop(length)


def padded_length(row: Row) -> int:
    """Return the length that a row is padded to."""
    return math.ceil(len(row.token_ids) / LENGTH_STEP) * LENGTH_STEP


def pad(
    rows: Sequence[Row],
    generator: np.random.Generator,
    observation_share: float = OBSERVATION_SHARE,
) -> tuple[Tensor, Tensor]:
    """Return ids and loss weights, both of shape (batch, time), padded on the right with 0.

    All of the agent's tokens count, and of the environment's a share that ``generator`` draws,
    and so many more that the count is a multiple of ``COUNT_STEP``, where there are enough.
    """
    shape = (len(rows), max(padded_length(row) for row in rows))
    ids: NDArray[np.int64] = np.zeros(shape, dtype=np.int64)
    weights: NDArray[np.float32] = np.zeros(shape, dtype=np.float32)
    drawn: NDArray[np.float64] = np.full(shape, 2.0)
    for index, row in enumerate(rows):
        size = len(row.token_ids)
        ids[index, :size] = row.token_ids
        weights[index, 1:size] = row.is_action[1:]
        drawn[index, 1:size] = generator.random(size - 1) + row.is_action[1:]
    seen, actions = int((drawn < 1.0).sum()), int((weights > 0.0).sum())
    wanted = math.ceil((actions + observation_share * seen) / COUNT_STEP) * COUNT_STEP - actions
    threshold = np.sort(drawn, axis=None)[wanted] if wanted < seen else 1.0
    weights[drawn < threshold] = OBSERVATION_WEIGHT
    return torch.from_numpy(ids), torch.from_numpy(weights)
