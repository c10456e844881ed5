import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.deadline import Deadline, TimeIsUp
from benchmarks.run_directory import Journal, RunDirectory, fingerprint
from pivot_envs.errors import RecordError


def test_a_finished_stage_is_not_made_again(tmp_path):
    run = RunDirectory(tmp_path / "run")
    calls = []

    def make():
        calls.append(1)
        return {"value": 3}

    assert run.stage("deep/stage.json", make) == {"value": 3}
    assert RunDirectory(tmp_path / "run").stage("deep/stage.json", make) == {"value": 3}
    assert len(calls) == 1


def test_an_interrupted_stage_leaves_nothing(tmp_path):
    run = RunDirectory(tmp_path)

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.stage("stage.json", interrupted)
    assert run.stage("stage.json", lambda: 1) == 1


def test_a_stage_that_two_need_at_the_same_time_is_made_once(tmp_path):
    calls = []

    def slow():
        calls.append(1)
        time.sleep(0.2)
        return len(calls)

    with ThreadPoolExecutor(4) as threads:
        found = list(
            threads.map(lambda _: RunDirectory(tmp_path).stage("a/b.json", slow), range(4))
        )
    assert found == [1] * 4


def test_a_folder_that_cannot_be_one_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("file", "file/below"):
        with pytest.raises(RecordError, match="--out"):
            RunDirectory(tmp_path / name).claim({})


def test_time_is_up_only_after_a_stage_was_kept(tmp_path):
    with pytest.raises(TimeIsUp):
        RunDirectory(tmp_path, Deadline(0)).stage("stage.json", lambda: 1)
    assert RunDirectory(tmp_path, Deadline(0)).stage("stage.json", lambda: 2) == 1


def test_the_same_configuration_goes_on(tmp_path):
    run = RunDirectory(tmp_path / "run")
    assert run.claim({"protocol": {"seeds": 1}}) is False
    assert run.claim({"protocol": {"seeds": 1}}) is True


def test_another_configuration_is_refused_and_named(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.claim({"protocol": {"seeds": 1, "drills": 4}})
    with pytest.raises(RecordError, match=r"protocol\.seeds differ"):
        run.claim({"protocol": {"seeds": 3, "drills": 4}})


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(RecordError, match="other files"):
        RunDirectory(tmp_path).claim({})


def test_a_damaged_configuration_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RecordError, match="damaged"):
        RunDirectory(tmp_path).claim({})


def test_the_surroundings_are_recorded(tmp_path):
    RunDirectory(tmp_path / "run").claim({})
    kept = RunDirectory(tmp_path / "run").stage("config.json", dict)
    assert kept["made_with"]["cpus"] >= 1


def test_a_journal_is_cut_back_to_a_step(tmp_path):
    journal = Journal(tmp_path / "new" / "log.jsonl")
    assert journal.read() == []
    for step in (1, 2, 3):
        journal.append({"step": step})
    with (tmp_path / "new" / "log.jsonl").open("a") as file:
        file.write('{"step": 2, "cut o')
    assert len(journal.read()) == 3
    journal.rewind(2)
    journal.append({"step": 9})
    assert [line["step"] for line in journal.read()] == [1, 2, 9]


def test_a_fingerprint_follows_the_content(tmp_path):
    (tmp_path / "a").write_text("1")
    first = fingerprint([tmp_path / "a"])
    (tmp_path / "a").write_text("2")
    assert fingerprint([tmp_path / "a"]) != first
