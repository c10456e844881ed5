"""Keys and values of attention: a cache that grows in place, and a store of prefixes to go on."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


@dataclass(frozen=True, slots=True)
class PrefixKeyValues:
    """Keys and values of one sequence, one pair of (heads, time, head_size) per layer."""

    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    length: int

    @property
    def nbytes(self) -> int:
        """Memory that they take, in bytes."""
        return sum(int(one.nbytes) for pair in self.layers for one in pair)


class PrefixStore:
    """Keeps the keys and values of sequences, the oldest of which are dropped when it is full."""

    def __init__(self, max_bytes: int) -> None:
        """Create an empty store for at most ``max_bytes`` of all sequences together."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[tuple[int, ...], PrefixKeyValues] = OrderedDict()

    def put(self, token_ids: tuple[int, ...], entry: PrefixKeyValues) -> None:
        """Keep the keys and values of ``token_ids``."""
        self.take(token_ids)
        self._entries[token_ids] = entry
        self._bytes += entry.nbytes
        while self._bytes > self._max_bytes:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= dropped.nbytes

    def take(self, token_ids: tuple[int, ...]) -> PrefixKeyValues | None:
        """Return the entry of exactly ``token_ids`` and forget it; ``None`` if there is none."""
        entry = self._entries.pop(token_ids, None)
        if entry is not None:
            self._bytes -= entry.nbytes
        return entry

    def clear(self) -> None:
        """Forget everything, as any change of the model's weights asks for."""
        self._entries.clear()
        self._bytes = 0


class _GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """A cache layer that writes into spare room, where ``DynamicLayer`` copies all at each step."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.buffers: tuple[torch.Tensor, torch.Tensor] | None = None
        self.filled = 0

    def allocate(self, like: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Make empty buffers of (rows, heads, room, head_size)."""
        self.lazy_initialization(like, like)
        shape = (rows, like.shape[-3], self.room, like.shape[-1])
        # Zeros and not empty memory: a masked NaN would still poison the weighted sum.
        self.buffers = (like.new_zeros(shape), like.new_zeros(shape))
        return self.buffers

    def fill(self, length: int) -> None:
        """Show the first ``length`` positions of the buffers as the cache's content."""
        assert self.buffers is not None
        self.filled = length
        self.keys, self.values = (buffer[:, :, :length] for buffer in self.buffers)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append new keys and values of (rows, heads, new, head_size) and return all."""
        buffers = self.buffers or self.allocate(key_states, key_states.shape[0])
        end = self.filled + key_states.shape[-2]
        for buffer, new in zip(buffers, (key_states, value_states), strict=True):
            buffer[:, :, self.filled : end] = new
        self.fill(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep, repeat or reorder rows."""
        if self.buffers is not None:
            self.buffers = (self.buffers[0][indices], self.buffers[1][indices])
            self.fill(self.filled)


class BatchCache:
    """The keys and values of a batch during generation, behind the interface of a model's cache."""

    def __init__(self, layers: int, room: int) -> None:
        """Create an empty cache.

        Args:
            layers: Attention layers of the model.
            room: Most positions a row will ever have.
        """
        self.hugging_face = DynamicCache()
        self.hugging_face.layers = [_GrowingLayer(room) for _ in range(layers)]

    def load(self, entries: Sequence[PrefixKeyValues | None]) -> int:
        """Start from stored prefixes, aligned at their ends; returns the longest's length."""
        longest = max((entry.length for entry in entries if entry is not None), default=0)
        if longest == 0:
            return 0
        like = next(entry for entry in entries if entry is not None)
        for index, layer in enumerate(self.hugging_face.layers):
            buffers = layer.allocate(like.layers[index][0], len(entries))
            for row, entry in enumerate(entries):
                if entry is not None:
                    start = longest - entry.length
                    for buffer, stored in zip(buffers, entry.layers[index], strict=True):
                        buffer[row, :, start:longest] = stored
            layer.fill(longest)
        return longest

    def row(self, index: int, visible: torch.Tensor) -> PrefixKeyValues:
        """Copy out the visible positions (time,) of one row."""
        places = visible.nonzero().squeeze(-1)
        layers = tuple(
            (layer.keys[index].index_select(1, places), layer.values[index].index_select(1, places))
            for layer in self.hugging_face.layers
        )
        return PrefixKeyValues(layers, int(places.numel()))

    def select(self, rows: torch.Tensor) -> None:
        """Keep, repeat or reorder rows."""
        self.hugging_face.batch_select_indices(rows)
