"""Curriculum, the protocol of what decides where the groups of each training step start."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from pivot_agents.pool import Start
from wrappers import Pivot


class Curriculum(Protocol):
    """Chooses starts, and may learn from what came of them.

    It must be the same on all processes that train together: all of them ask for the starts of the
    whole step, and all hear of all rewards.
    """

    def starts(self, step: int, groups: int) -> Sequence[Start]:
        """Return one start for each group of a step; the episodes of a group share it."""
        ...

    def observe(self, step: int, rewards: Sequence[Sequence[float]]) -> None:
        """Hear the rewards of each group's scored episodes, in the order of ``starts``."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what changes during training as JSON-able data, for a checkpoint."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Bring back what ``state`` returned."""
        ...

    def settings(self) -> Mapping[str, Any]:
        """Return the JSON-able settings that a checkpoint is bound to."""
        ...


@runtime_checkable
class GrowingCurriculum(Curriculum, Protocol):
    """A curriculum that also takes the states that episodes reached (``info["reached"]``)."""

    def reach(self, step: int, reached: Sequence[Sequence[Pivot]]) -> None:
        """Hear of the states that each group's episodes reached, in the order of ``starts``."""
        ...


class SeededStarts:
    """Leaves the choice to the environment, which draws by the seed of its reset."""

    def __init__(self, seed: int = 0) -> None:
        """Seed the starts: group ``i`` of step ``t`` is seeded by ``(seed, t, i)``."""
        self._seed = seed

    def starts(self, step: int, groups: int) -> list[Start]:
        """Return one seeded start for each group."""
        sequences = [np.random.SeedSequence([self._seed, step, group]) for group in range(groups)]
        return [Start(int(sequence.generate_state(1)[0])) for sequence in sequences]

    def observe(self, step: int, rewards: Sequence[Sequence[float]]) -> None:
        """Learn nothing."""

    def state(self) -> dict[str, Any]:
        """Return nothing: nothing changes."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Bring back nothing."""

    def settings(self) -> Mapping[str, Any]:
        """Return nothing: the seed is the trainer's."""
        return {}
