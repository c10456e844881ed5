import dataclasses
import json

import gymnasium as gym
import pytest

from benchmarks.deadline import Deadline, TimeIsUp
from benchmarks.training_log import TrainingLog
from pivot_agents.accounting import Tally, TurnCounter
from pivot_agents.llm import LLMPolicy
from pivot_agents.pool import EnvPool
from pivot_agents.tiny import tiny_model, train_tokenizer
from pivot_agents.trainers.policy_gradient import PolicyGradientConfig, PolicyGradientTrainer


@pytest.fixture(scope="module")
def pool():
    def make():
        return gym.make("pivot/Drill-v0", max_turns=1, disable_env_checker=True)

    with EnvPool(make, 4) as pool:
        yield pool


def trainer(pool, *, budget=16):
    base = LLMPolicy(tiny_model(300), train_tokenizer(["look"], 300), max_new_tokens=2)
    config = PolicyGradientConfig(turn_budget=budget, groups_per_step=2, group_size=2)
    counter = TurnCounter()
    counter.add("profile", Tally(turns=4))
    return PolicyGradientTrainer(base.with_adapter(), pool, config, counter=counter)


def log_of(folder, learner, validated, deadline=None, spent_turns=4):
    def validate():
        validated.append(learner.step)
        return 0.5

    return TrainingLog(
        folder,
        learner,
        base_success=0.25,
        validate=validate,
        spent_turns=spent_turns,
        spent_s=2.0,
        deadline=deadline,
    )


def run(log, learner, steps=99):
    for _, metrics in zip(range(steps), learner.train(), strict=False):
        log.keep(dataclasses.asdict(metrics))
        log.validate(every_turns=8)


def points(folder):
    lines = (folder / "curve.jsonl").read_text().splitlines()
    return [(point["step"], point["turns"]) for point in map(json.loads, lines)]


def test_a_curve_starts_at_the_base_and_counts_profiling(tmp_path, pool):
    learner, validated = trainer(pool), []
    log = log_of(tmp_path, learner, validated)
    run(log, learner)
    assert points(tmp_path) == [(0, 0), (0, 4), (1, 8), (3, 16)]
    assert validated == [1, 3]
    assert [point.success for point in log.curve] == [0.25, 0.25, 0.5, 0.5]
    assert log.curve[-1].wall_s == pytest.approx(2.0 + log.wall_s)


def test_seconds_that_were_spent_without_a_turn_are_at_the_start_of_the_curve(tmp_path, pool):
    log = log_of(tmp_path, trainer(pool), [], spent_turns=0)
    assert [(point.turns, point.wall_s) for point in log.curve] == [(0, 0.0), (0, 2.0)]


def test_training_that_stopped_goes_on_to_the_same_curve(tmp_path, pool):
    first, validated = trainer(pool), []
    run(log_of(tmp_path, first, validated), first, steps=2)
    again = trainer(pool)
    log = log_of(tmp_path, again, validated)
    assert again.step == 2
    run(log, again)
    assert points(tmp_path) == [(0, 0), (0, 4), (1, 8), (3, 16)]
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in metrics] == [1, 2, 3]
    assert [line["learning_turns"] for line in metrics] == [8, 12, 16]


def steps_of(folder):
    """The metrics of all steps, without what depends on the machine."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name[-2:] != "_s"} for line in lines]


def test_training_in_sittings_of_a_step_gives_the_curve_of_one_sitting(tmp_path, pool):
    learner = trainer(pool, budget=24)
    run(log_of(tmp_path / "once", learner, []), learner)
    for _ in range(5):
        learner = trainer(pool, budget=24)
        log = log_of(tmp_path / "sittings", learner, [], Deadline(0))
        log.validate(every_turns=8)
        with pytest.raises(TimeIsUp):
            run(log, learner)
    learner = trainer(pool, budget=24)
    log_of(tmp_path / "sittings", learner, []).validate(every_turns=8)
    assert learner.is_done
    assert steps_of(tmp_path / "sittings") == steps_of(tmp_path / "once")
    assert points(tmp_path / "sittings") == points(tmp_path / "once")


def test_a_log_knows_the_processor_seconds_and_the_groups_without_signal_of_all_steps(
    tmp_path, pool
):
    learner = trainer(pool)
    log = log_of(tmp_path, learner, [])
    run(log, learner)
    assert log.cpu_s > 0
    assert log.silent_share == 1.0


def test_metrics_beyond_the_checkpoint_are_made_again(tmp_path, pool):
    first, validated = trainer(pool), []
    log = log_of(tmp_path, first, validated)
    run(log, first, steps=1)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 2, "wall_s": 1e9}) + "\n")
    assert log_of(tmp_path, trainer(pool), validated).wall_s < 1e6


def test_a_point_that_was_due_when_training_stopped_is_made_up_for(tmp_path, pool):
    first, validated = trainer(pool), []
    log = log_of(tmp_path, first, validated)
    log.keep(dataclasses.asdict(next(first.train())))
    assert validated == []
    log_of(tmp_path, trainer(pool), validated).validate(every_turns=8)
    assert validated == [1]
