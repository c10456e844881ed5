"""Pivot, a mid-trajectory state to learn from, and the JSON Lines files that hold pivots."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pivot_envs.core import Effect
from pivot_envs.records import (
    SnapshotsBeside,
    effect_from,
    effect_record,
    read_records,
    write_records,
)
from pivot_envs.snapshot import Snapshot
from pivot_envs.store import SnapshotStore

FORMAT = "pivot-pivots"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Profile:
    """Outcomes of a policy's own local rollouts from one state."""

    rewards: tuple[float, ...]
    """One reward in [0, 1] a rollout; at least one."""
    action_variance: float | None = None
    """Variance of what the actions are worth, without luck, where a reward is the mean of several
    continuations; ``None`` where rewards are verdicts on the action itself."""

    def __post_init__(self) -> None:
        if not self.rewards:
            raise ValueError("a profile needs at least one reward, got none")

    @property
    def mean(self) -> float:
        """Mean reward."""
        return sum(self.rewards) / len(self.rewards)

    @property
    def variance(self) -> float:
        """Population variance of the rewards; 0 exactly when all are equal."""
        if min(self.rewards) == max(self.rewards):
            return 0.0
        mean = self.mean
        return sum((reward - mean) ** 2 for reward in self.rewards) / len(self.rewards)

    @property
    def signal(self) -> float:
        """How much the choice of the action matters; 0 where nothing can be learned."""
        return self.variance if self.action_variance is None else self.action_variance


@dataclass(frozen=True, slots=True)
class Pivot:
    """A mid-trajectory state, with what the demonstration did there."""

    pivot_id: str
    """Unique among the pivots that are used together."""
    trajectory_id: str
    """The demonstration that the state is from; train and test are split by it."""
    turn: int
    """0-based number of the demonstrated action in its trajectory."""
    snapshot: Snapshot
    """The state before the action."""
    demonstration: str
    """The demonstrated action."""
    effect: Effect
    """What the demonstrated action did."""
    tool: str
    """Name of the tool that the demonstrated action calls."""
    profile: Profile | None = None
    """``None`` until the state is profiled."""
    rest: tuple[str, ...] = ()
    """The actions that the demonstration's success needs from here on, the demonstrated one first;
    empty where that was not found out (``pivot_agents.needed``)."""


def write_pivots(
    path: str | os.PathLike[str], pivots: Iterable[Pivot], store: SnapshotStore | None = None
) -> None:
    """Write pivots as JSON Lines; an older file is replaced only by a complete one.

    Args:
        path: The file.
        pivots: What to write; consumed as it is written.
        store: Where their snapshots go; by default the folder ``<path>.snapshots``.

    Raises:
        StoreError: The file or the store cannot be written.
    """
    snapshots = SnapshotsBeside(Path(path), store)
    records = (pivot_record(pivot, snapshots.put) for pivot in pivots)
    write_records(Path(path), FORMAT, FORMAT_VERSION, records)


def read_pivots(
    path: str | os.PathLike[str], store: SnapshotStore | None = None
) -> tuple[Pivot, ...]:
    """Read what ``write_pivots`` wrote, with the snapshots, verified.

    Raises:
        RecordError: The file has another format or version, or a line is damaged.
        SnapshotError: A snapshot is damaged.
        StoreError: The file or a snapshot is missing or cannot be read.
    """
    snapshots = SnapshotsBeside(Path(path), store)
    return read_records(
        Path(path), FORMAT, FORMAT_VERSION, lambda record: pivot_from(record, snapshots.get)
    )


def pivot_record(pivot: Pivot, put: Callable[[Snapshot], Any]) -> dict[str, Any]:
    """Return a pivot as JSON-able data.

    Args:
        pivot: What to write.
        put: Keeps its snapshot, and returns what names it there.
    """
    return {
        "pivot_id": pivot.pivot_id,
        "trajectory_id": pivot.trajectory_id,
        "turn": pivot.turn,
        "snapshot": put(pivot.snapshot),
        "demonstration": pivot.demonstration,
        "effect": effect_record(pivot.effect),
        "tool": pivot.tool,
        "rest": pivot.rest,
        "profile": None if pivot.profile is None else pivot.profile.rewards,
        "action_variance": None if pivot.profile is None else pivot.profile.action_variance,
    }


def pivot_from(record: Mapping[str, Any], get: Callable[[Any], Snapshot | None]) -> Pivot:
    """Rebuild a pivot from its record.

    Args:
        record: What ``pivot_record`` returned.
        get: Returns the snapshot of that name.

    Raises:
        ValueError: The snapshot or the effect is missing.
    """
    snapshot = get(record["snapshot"])
    effect = effect_from(record["effect"])
    if snapshot is None or effect is None:
        raise ValueError("a pivot needs a snapshot and an effect")
    rewards = record["profile"]
    return Pivot(
        pivot_id=record["pivot_id"],
        trajectory_id=record["trajectory_id"],
        turn=record["turn"],
        snapshot=snapshot,
        demonstration=record["demonstration"],
        effect=effect,
        tool=record["tool"],
        rest=tuple(record.get("rest", ())),
        profile=None if rewards is None else Profile(tuple(rewards), record.get("action_variance")),
    )
