import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "programs" / "parity_training.py"
ROOT = Path(__file__).parents[2]
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


def run(*command, timeout_s=600):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def curve(folder):
    """The metrics of all steps, without what depends on the machine."""
    lines = (folder / "0" / "metrics.jsonl").read_text().splitlines()
    return [
        {name: value for name, value in json.loads(line).items() if not name.endswith("_s")}
        for line in lines
    ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    run(PROGRAM, folder, "once")
    return curve(folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_training_that_is_killed_at_random_moments_gives_the_same_curve(uninterrupted, tmp_path):
    told = run(PROGRAM, tmp_path, "killed", 0, 6)
    assert told.count("killed") >= 4
    assert len({line.split()[-1] for line in told.splitlines()}) >= 3
    assert curve(tmp_path) == uninterrupted
    assert [one["step"] for one in uninterrupted] == list(range(1, 11))
    assert sum(one["trained_tokens"] for one in uninterrupted) > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_give_the_curve_of_one(uninterrupted, tmp_path):
    run(*TWO, PROGRAM, tmp_path, "once")
    for ours, theirs in zip(curve(tmp_path), uninterrupted, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    first, second = (tmp_path / str(rank) / "metrics.jsonl" for rank in (0, 1))
    assert len(second.read_text().splitlines()) == len(first.read_text().splitlines())


def choices(folder, rank):
    return json.loads((folder / str(rank) / "choices.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_choose_the_same_states_by_likelihood_and_those_that_one_would(tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    run(PROGRAM, alone, "pivots")
    run(*TWO, PROGRAM, together, "pivots")
    for ours, theirs in zip(curve(together), curve(alone), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    one, first, second = choices(alone, 0), choices(together, 0), choices(together, 1)
    assert first == second
    assert first["started"] == one["started"] > 0
    evidence = [each["profiler"]["records"] for each in (first, one)]
    assert evidence[0] == evidence[1]
    likelihoods = [each["profiler"]["likelihoods"] for each in (first, one)]
    assert likelihoods[0] == pytest.approx(likelihoods[1], rel=1e-3)
