"""Trajectory and Transition, the record of an episode, and the JSON Lines files that hold them."""

import os
from collections.abc import Iterable, Mapping
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

FORMAT = "pivot-trajectories"
FORMAT_VERSION = 1
REACHED = "reached"
"""The entry of ``info`` that holds a state to go on from; it is not written to files."""


@dataclass(frozen=True, slots=True)
class Transition:
    """The record of one turn."""

    observation: str
    """What the agent saw before it acted."""
    action: str
    next_observation: str
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]
    """The ``info`` of the step."""
    snapshot: Snapshot | None = None
    """The state before the action."""
    effect: Effect | None = None
    """What the action did."""
    token_ids: tuple[int, ...] = ()
    """The action's token ids as they were sampled."""
    logprobs: tuple[float, ...] = ()
    """Natural-log probability of each of ``token_ids``."""
    prompt_ids: tuple[int, ...] = ()
    """Token ids of the whole context that the action followed."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The record of one episode."""

    env_id: str
    env_kwargs: Mapping[str, Any]
    """JSON-able arguments that the environment was made with."""
    task_id: str
    seed: int | None
    """The seed of the reset that began the episode, if one was given."""
    transitions: tuple[Transition, ...]
    trajectory_id: str

    @property
    def return_(self) -> float:
        """Sum of all rewards."""
        return sum((transition.reward for transition in self.transitions), 0.0)

    @property
    def is_success(self) -> bool:
        """Whether the last turn's ``info`` says that the task is solved."""
        return bool(self.transitions and self.transitions[-1].info.get("is_success"))

    @property
    def infra_error(self) -> str | None:
        """The machinery's failure that ended the episode, which then must not be scored."""
        errors = (transition.info.get("infra_error") for transition in self.transitions)
        return next((str(error) for error in errors if error is not None), None)

    @property
    def is_scored(self) -> bool:
        """Whether the rewards mean something: the machinery held, and no verifier was undecided.

        Training and profiles leave out an episode that is not scored; it is no failure.
        """
        undecided = any(transition.info.get("undecided") for transition in self.transitions)
        return self.infra_error is None and not undecided


def write_trajectories(
    path: str | os.PathLike[str],
    trajectories: Iterable[Trajectory],
    store: SnapshotStore | None = None,
) -> None:
    """Write trajectories as JSON Lines; an older file is replaced only by a complete one.

    Args:
        path: The file.
        trajectories: What to write; consumed as it is written.
        store: Where their snapshots go; by default the folder ``<path>.snapshots``.

    Raises:
        RecordError: An ``info`` or ``env_kwargs`` holds something that JSON cannot.
        StoreError: The file or the store cannot be written.
    """
    snapshots = SnapshotsBeside(Path(path), store)
    records = (_trajectory_record(trajectory, snapshots) for trajectory in trajectories)
    write_records(Path(path), FORMAT, FORMAT_VERSION, records)


def read_trajectories(
    path: str | os.PathLike[str], store: SnapshotStore | None = None
) -> tuple[Trajectory, ...]:
    """Read what ``write_trajectories`` wrote, with the snapshots, verified.

    Raises:
        RecordError: The file has another format or version, or a line is damaged.
        SnapshotError: A snapshot is damaged.
        StoreError: The file or a snapshot is missing or cannot be read.
    """
    snapshots = SnapshotsBeside(Path(path), store)
    return read_records(
        Path(path), FORMAT, FORMAT_VERSION, lambda record: _trajectory_from(record, snapshots)
    )


def _trajectory_record(trajectory: Trajectory, snapshots: SnapshotsBeside) -> dict[str, Any]:
    return {
        "trajectory_id": trajectory.trajectory_id,
        "env_id": trajectory.env_id,
        "env_kwargs": dict(trajectory.env_kwargs),
        "task_id": trajectory.task_id,
        "seed": trajectory.seed,
        "transitions": [
            _transition_record(transition, snapshots) for transition in trajectory.transitions
        ],
    }


def _trajectory_from(record: Mapping[str, Any], snapshots: SnapshotsBeside) -> Trajectory:
    return Trajectory(
        env_id=record["env_id"],
        env_kwargs=record["env_kwargs"],
        task_id=record["task_id"],
        seed=record["seed"],
        transitions=tuple(_transition_from(each, snapshots) for each in record["transitions"]),
        trajectory_id=record["trajectory_id"],
    )


def _transition_record(transition: Transition, snapshots: SnapshotsBeside) -> dict[str, Any]:
    return {
        "observation": transition.observation,
        "action": transition.action,
        "next_observation": transition.next_observation,
        "reward": float(transition.reward),
        "terminated": transition.terminated,
        "truncated": transition.truncated,
        "info": {key: value for key, value in transition.info.items() if key != REACHED},
        "snapshot": snapshots.put(transition.snapshot),
        "effect": effect_record(transition.effect),
        "token_ids": transition.token_ids,
        "logprobs": transition.logprobs,
        "prompt_ids": transition.prompt_ids,
    }


def _transition_from(record: Mapping[str, Any], snapshots: SnapshotsBeside) -> Transition:
    return Transition(
        observation=record["observation"],
        action=record["action"],
        next_observation=record["next_observation"],
        reward=record["reward"],
        terminated=record["terminated"],
        truncated=record["truncated"],
        info=record["info"],
        snapshot=snapshots.get(record["snapshot"]),
        effect=effect_from(record["effect"]),
        token_ids=tuple(record["token_ids"]),
        logprobs=tuple(record["logprobs"]),
        prompt_ids=tuple(record["prompt_ids"]),
    )
