import io
import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks.arm_options import ARMS, Plan
from benchmarks.compare import INTERRUPTED, compare, main
from benchmarks.deadline import UNFINISHED, TimeIsUp
from benchmarks.protocol import PRESETS, draw_tasks
from pivot_agents.tiny import tiny_model, train_tokenizer
from pivot_envs.coding.task_file import default_tasks_path, read_tasks
from pivot_envs.errors import RecordError

MICRO = replace(
    PRESETS["quick"],
    demonstrations=2,
    turn_budget=8,
    profile_samples=2,
    own_episodes=2,
    own_tries=1,
    test_tasks=2,
    test_samples=1,
    unseen_tasks=1,
    unseen_samples=2,
    validation_tasks=1,
    validation_samples=2,
    validate_every_turns=8,
    drills=2,
    e2e_groups=1,
    pivot_groups=1,
    group_size=2,
    max_turns=4,
    max_new_tokens=4,
    pool_size=2,
    threads=1,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model with random weights, which says nothing that is a tool call."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(['{"name": "view", "arguments": {}}'], 300)
    tiny_model(len(tokenizer), hidden_size=32, layers=1, heads=2).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_comparison_runs_to_its_report_and_is_not_run_twice(tmp_path, model):
    out = tmp_path / "run"
    results = compare(MICRO, model=model, out=out, console=quiet())
    written = json.loads((out / "results.json").read_text())
    assert [row["name"] for row in written["rows"]] == [row.name for row in results.rows]
    pivot = next(record for record in results.arms if record.arm == "pivot")
    assert "no pivot among" in pivot.note
    assert pivot.profile["turns"] > 0
    assert "data:image/png" in (out / "report.html").read_text()
    with pytest.raises(RecordError, match=r"protocol\.drills differ"):
        compare(replace(MICRO, drills=3), model=model, out=out, console=quiet())
    evaluations = {path: path.stat().st_mtime_ns for path in (out / "evaluations").rglob("*.json")}
    again = compare(MICRO, model=model, out=out, console=quiet())
    assert again.rows == results.rows
    assert evaluations == {path: path.stat().st_mtime_ns for path in evaluations}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_arms_can_be_added_to_a_run_and_every_arm_comes_to_its_end(tmp_path, model):
    out = tmp_path / "run"
    first = compare(MICRO, model=model, out=out, console=quiet(), plan=Plan(("SFT",)))
    assert first.reaches == ()
    other = Plan(("SFT",), tuned={"SFT": {"sft_learning_rate": 1e-3}})
    with pytest.raises(RecordError, match="holds SFT with the settings"):
        compare(MICRO, model=model, out=out, console=quiet(), plan=other)
    tuned = {"pivot": {"kl_coef": 0.1}}
    plan = Plan(tuple(ARMS), tuned=tuned)
    results = compare(MICRO, model=model, out=out, console=quiet(), plan=plan)
    assert results.facts["config"]["tuned"]["pivot"] == tuned["pivot"]
    records = {record.arm: record for record in results.arms}
    assert tuple(records) == tuple(ARMS)
    for name, options in ARMS.items():
        turns = records[name].profile.get("turns", 0) + records[name].train.get("turns", 0)
        assert (turns == 0) == (options.learning == "imitation"), name
        if options.learning == "pivots" and options.profiler == "lazy":
            assert "unseen" in records[name].note
    assert records["lazy-effect"].profile["turns"] == 0
    assert records["random-pivots"].profile["turns"] == 0
    assert records["lazy-effect-own"].profile["turns"] > 0
    assert "lazy-outcome" in (out / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_comparison_in_short_sittings_comes_to_the_results_of_one(tmp_path, model):
    plan = Plan(("E2E", "random-pivots"))
    whole = compare(MICRO, model=model, out=tmp_path / "once", console=quiet(), plan=plan)
    out, sittings = tmp_path / "sittings", 0
    while sittings < 100:
        try:
            results = compare(MICRO, model=model, out=out, console=quiet(), plan=plan, minutes=0)
            break
        except TimeIsUp:
            sittings += 1
    assert sittings > 10
    assert [row.scores for row in results.rows] == [row.scores for row in whole.rows]
    for ours, theirs in zip(results.arms, whole.arms, strict=True):
        assert [point.turns for point in ours.curve] == [point.turns for point in theirs.curve]
        assert [point.success for point in ours.curve] == [point.success for point in theirs.curve]
        assert ours.train_cpu_s > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_jobs_are_run_alone_and_the_report_is_made_from_them(tmp_path, model):
    out = tmp_path / "run"
    protocol = replace(MICRO, seeds=2)
    options = {"model": model, "out": out, "console": quiet()}
    assert compare(protocol, **options, plan=Plan(only=["E2E:1"])) is None
    assert (out / "seed-1" / "E2E" / "metrics.jsonl").exists()
    assert not (out / "seed-0").exists()
    assert not (out / "report.html").exists()
    before = (out / "seed-1" / "E2E" / "metrics.jsonl").read_bytes()
    results = compare(protocol, **options, plan=Plan(("E2E",)))
    assert [record.seed for record in results.arms] == [0, 1]
    assert "resets and steps were executed" in results.arms[1].note
    assert (out / "seed-1" / "E2E" / "metrics.jsonl").read_bytes() == before


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_program_whose_time_is_up_says_how_to_go_on(tmp_path, model, capsys):
    command = ["--minutes", "0", "--model", model, "--out", str(tmp_path / "run")]
    assert main(command) == UNFINISHED
    output = " ".join(capsys.readouterr().out.split())
    assert "time is up; what is finished is kept in" in output
    assert f"python -m benchmarks.compare --minutes 0 --model {model}" in output


def test_a_job_or_a_headline_that_is_none_is_named(tmp_path, model, capsys):
    out = ["--out", str(tmp_path / "run")]
    assert main([*out, "--only", "pivot:1"]) == 1
    assert "a seed from 0 to 0; got 'pivot:1'" in " ".join(capsys.readouterr().out.split())
    assert main([*out, "--headline", "E2E"]) == 1
    assert "got E2E" in " ".join(capsys.readouterr().out.split())
    assert not (tmp_path / "run").exists()


def test_an_unknown_arm_is_named_with_those_there_are(tmp_path, model, capsys):
    assert main(["--arms", "SFT", "magic", "--out", str(tmp_path / "run")]) == 1
    message = " ".join(capsys.readouterr().out.split())
    assert "lazy-effect-own" in message
    assert "got magic" in message


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_interrupt_says_how_to_go_on(tmp_path, model):
    command = [sys.executable, "-m", "benchmarks.compare", "--model", model]
    command += ["--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Where the tests run in the background, SIGINT is ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    try:
        for _ in range(3000):
            if (tmp_path / "run" / "config.json").exists() or process.poll() is not None:
                break
            signal.sigtimedwait([], 0.1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=200)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == INTERRUPTED
    assert f"python -m benchmarks.compare --model {model} --out" in output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--seeds", "0"], "expected --seeds to be at least 1, got 0"),
        (["--turns", "0"], "expected --turns to be at least 1, got 0"),
        (["--untuned-as", "SFT"], "got SFT; give --tuned FILE beside it"),
        (["--tuned", "TUNED", "--untuned-as", "E2E"], "got E2E; give one of SFT"),
        (["--other", "coding"], "expected --other to be another domain than --domain"),
        (["--tuned", "TUNED", "--arms", "SFT", "E2E"], "got none of E2E; tune them too"),
        (["--device", "abacus"], "expected --device to be auto or a device of torch"),
    ],
)
def test_what_makes_no_comparison_is_refused_with_what_was_expected(
    tmp_path, capsys, arguments, expected
):
    trial = {"curve": [{"turns": 0, "wall_s": 1.0, "success": 0.5}]}
    log = {"trials": {"SFT": [trial]}, "best": {"SFT": {"sft_learning_rate": 1e-3}}}
    (tmp_path / "tuning.json").write_text(json.dumps(log))
    given = [str(tmp_path / "tuning.json") if one == "TUNED" else one for one in arguments]
    assert main([*given, "--out", str(tmp_path / "run")]) == 1
    assert expected in " ".join(capsys.readouterr().out.split())
    assert not (tmp_path / "run").exists()


def test_a_model_that_is_none_is_a_clear_error(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    arguments = ["--model", str(tmp_path / "empty"), "--out", str(tmp_path / "run")]
    assert main(arguments) == 1
    assert "causal language model" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_the_shipped_tasks_are_enough_for_the_smallest_run():
    assert draw_tasks(read_tasks(default_tasks_path()), MICRO).test
