"""Trajectories: the record of episodes, and the files that hold them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pivot_envs.drill import DrillEnv
from pivot_envs.errors import RecordError, SnapshotError, StoreError
from pivot_envs.store import SnapshotStore
from pivot_envs.tools import ToolCall
from pivot_envs.trajectory import Trajectory, Transition, read_trajectories, write_trajectories

LOOK = ToolCall("look", {}).as_text()


def make_trajectory(*, seed: int = 0, snapshots: bool = True, **info: Any) -> Trajectory:
    env = DrillEnv()
    observation, start = env.reset(seed=seed)
    transitions = []
    for action in (LOOK, ToolCall("answer", {"text": "\ud800"}).as_text()):
        snapshot = env.snapshot() if snapshots else None
        after, reward, terminated, truncated, step_info = env.step(action)
        transitions.append(
            Transition(
                observation=observation,
                action=action,
                next_observation=after,
                reward=reward,
                terminated=terminated,
                truncated=truncated,
                info={**step_info, **info},
                snapshot=snapshot,
                effect=env.effect(),
                token_ids=(1, 2),
                logprobs=(-0.1, float("-inf")),
                prompt_ids=(7,),
            )
        )
        observation = after
    return Trajectory(
        "DrillEnv", {"size": 4}, start["task_id"], seed, tuple(transitions), f"t{seed}"
    )


def test_trajectories_survive_the_file(tmp_path: Path) -> None:
    trajectories = (make_trajectory(), make_trajectory(seed=1))
    write_trajectories(tmp_path / "episodes.jsonl", trajectories)
    assert read_trajectories(tmp_path / "episodes.jsonl") == trajectories
    header = (tmp_path / "episodes.jsonl").read_text().splitlines()[0]
    assert json.loads(header) == {"format": "pivot-trajectories", "version": 1}
    assert len(SnapshotStore(tmp_path / "episodes.jsonl.snapshots").ids()) == 4


def test_a_store_may_be_shared(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "store")
    path = tmp_path / "episodes.jsonl"
    write_trajectories(path, [make_trajectory()], store)
    assert read_trajectories(path, store) == (make_trajectory(),)
    assert not path.with_name("episodes.jsonl.snapshots").exists()


def test_without_snapshots_no_store_is_made(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    trajectory = make_trajectory(snapshots=False)
    bare = replace(trajectory, transitions=(replace(trajectory.transitions[0], effect=None),))
    write_trajectories(path, [bare])
    assert [file.name for file in tmp_path.iterdir()] == ["episodes.jsonl"]
    assert read_trajectories(path) == (bare,)


def test_no_trajectories_are_a_file_too(tmp_path: Path) -> None:
    write_trajectories(tmp_path / "none.jsonl", [])
    assert read_trajectories(tmp_path / "none.jsonl") == ()


def test_numpy_values_become_plain(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    write_trajectories(path, [make_trajectory(r=np.float32(1.5), a=np.arange(2))])
    info = read_trajectories(path)[0].transitions[0].info
    assert (info["r"], info["a"]) == (1.5, [0, 1])


def test_an_info_that_is_no_json_keeps_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    write_trajectories(path, [make_trajectory()])
    with pytest.raises(RecordError, match=r"line 3 cannot be written as JSON: object is no JSON"):
        write_trajectories(path, [make_trajectory(seed=2), make_trajectory(x=object())])
    assert read_trajectories(path) == (make_trajectory(),)


def test_a_state_to_go_on_from_is_left_out_of_the_file(tmp_path: Path) -> None:
    write_trajectories(tmp_path / "episodes.jsonl", [make_trajectory(reached=object())])
    assert read_trajectories(tmp_path / "episodes.jsonl") == (make_trajectory(),)


def test_the_outcome_is_read_off_the_transitions() -> None:
    turn = make_trajectory().transitions[0]
    info = {"is_success": False, "infra_error": None}
    won = replace(turn, reward=1.0, info={"is_success": True, "infra_error": None})
    lost = replace(turn, reward=0.5, info=info)
    broken = replace(turn, info={"is_success": False, "infra_error": "the box is gone"})
    assert Trajectory("e", {}, "a", 0, (lost, won), "1").return_ == 1.5
    assert Trajectory("e", {}, "a", 0, (lost, won), "1").is_success
    assert not Trajectory("e", {}, "a", 0, (won, lost), "1").is_success
    assert Trajectory("e", {}, "a", 0, (lost, broken), "1").infra_error == "the box is gone"
    empty = Trajectory("e", {}, "a", None, (), "1")
    assert (empty.return_, empty.is_success, empty.infra_error) == (0.0, False, None)


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (0, '{"format": "pivot-trajectories", "version": 2}', "expected the header of pivot-traj"),
        (0, "[]", "expected the header of pivot-trajectories version 1, got \\[\\]"),
        (1, "{", "JSONDecodeError"),
        (1, "", "JSONDecodeError"),
        (2, "[]", "TypeError"),
        (2, "{}", "KeyError: 'env_id'"),
        (2, "[" * 100_000, "RecursionError"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: int, text: str, message: str) -> None:
    path = tmp_path / "episodes.jsonl"
    write_trajectories(path, [make_trajectory(), make_trajectory(seed=1)])
    lines = path.read_text().splitlines()
    lines[line] = text
    path.write_text("\n".join(lines))
    with pytest.raises(
        RecordError, match=f"episodes.jsonl, line {line + 1} is damaged .*{message}"
    ):
        read_trajectories(path)


def test_an_empty_file_has_no_header(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    with pytest.raises(RecordError, match=r"empty\.jsonl, line 1 is damaged"):
        read_trajectories(tmp_path / "empty.jsonl")


def test_missing_and_damaged_snapshots_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    write_trajectories(path, [make_trajectory()])
    store = SnapshotStore(tmp_path / "episodes.jsonl.snapshots")
    snapshot_id = store.ids()[0]
    (store.path / "manifests" / f"{snapshot_id}.json").write_text("{")
    with pytest.raises(SnapshotError, match=r"episodes\.jsonl, line 2: .* it is no JSON"):
        read_trajectories(path)
    store.delete(snapshot_id)
    with pytest.raises(StoreError, match=r"episodes\.jsonl, line 2: no snapshot"):
        read_trajectories(path)


def test_a_store_that_cannot_be_written_is_named_and_no_file_is_left(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(StoreError, match="cannot lock the store"):
        write_trajectories(
            tmp_path / "episodes.jsonl", [make_trajectory()], SnapshotStore(tmp_path / "store")
        )
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read .*nothing\.jsonl"):
        read_trajectories(tmp_path / "nothing.jsonl")
