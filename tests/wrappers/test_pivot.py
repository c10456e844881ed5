"""Pivots and their profiles, and the files that hold them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pivot_envs.core import Effect
from pivot_envs.drill import DrillEnv
from pivot_envs.errors import RecordError
from pivot_envs.store import SnapshotStore
from wrappers import Pivot, Profile, read_pivots, write_pivots


def make_pivot(pivot_id: str = "p", *, rewards: tuple[float, ...] = ()) -> Pivot:
    env = DrillEnv()
    env.reset(seed=0)
    return Pivot(
        pivot_id=pivot_id,
        trajectory_id="t",
        turn=0,
        snapshot=env.snapshot(),
        demonstration='{"name": "look"}',
        effect=Effect("digest", frozenset({"b", "a"}), False),
        tool="look",
        profile=Profile(rewards) if rewards else None,
    )


def test_a_profile_has_mean_and_population_variance() -> None:
    profile = Profile((1.0, 0.0, 0.0, 1.0))
    assert (profile.mean, profile.variance) == (0.5, 0.25)
    assert Profile((1.0, 0.0, 0.0)).variance == pytest.approx(2 / 9)


@pytest.mark.parametrize("reward", [0.0, 1.0, 0.1])
def test_equal_rewards_have_no_variance_at_all(reward: float) -> None:
    assert Profile((reward,) * 7).variance == 0.0


def test_an_empty_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one reward"):
        Profile(())


def test_pivots_survive_the_file(tmp_path: Path) -> None:
    pivots = (make_pivot("a"), make_pivot("b", rewards=(1.0, 0.0)))
    write_pivots(tmp_path / "pivots.jsonl", pivots)
    assert read_pivots(tmp_path / "pivots.jsonl") == pivots
    assert len(SnapshotStore(tmp_path / "pivots.jsonl.snapshots").ids()) == 1


def test_pivots_may_share_the_store_of_their_trajectories(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "store")
    write_pivots(tmp_path / "pivots.jsonl", [make_pivot()], store)
    assert read_pivots(tmp_path / "pivots.jsonl", store) == (make_pivot(),)
    assert {path.name for path in tmp_path.iterdir()} == {"pivots.jsonl", "store"}


def test_a_pivot_without_its_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pivots.jsonl"
    write_pivots(path, [make_pivot(), replace(make_pivot(), pivot_id="b")])
    lines = path.read_text().splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), "snapshot": None})
    path.write_text("\n".join(lines))
    with pytest.raises(RecordError, match=r"pivots\.jsonl, line 3 .* needs a snapshot"):
        read_pivots(path)


def test_a_file_of_trajectories_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text('{"format": "pivot-trajectories", "version": 1}\n')
    with pytest.raises(RecordError, match="expected the header of pivot-pivots version 1"):
        read_pivots(path)
