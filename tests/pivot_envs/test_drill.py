"""DrillEnv: the smallest environment that keeps the contract."""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import pytest

from pivot_envs.drill import MAX_SIZE, WORDS, DrillEnv, DrillTask
from pivot_envs.errors import SnapshotError, TaskError
from pivot_envs.tools import ToolCall

LOOK = ToolCall("look", {}).as_text()


def answer(text: str) -> str:
    return ToolCall("answer", {"text": text}).as_text()


def test_the_words_are_distinct_and_short() -> None:
    assert len(set(WORDS)) == MAX_SIZE == 60
    assert all(4 <= len(word) <= 5 for word in WORDS)


def test_an_id_always_gives_the_same_task() -> None:
    assert DrillTask.from_id("lookup-2-0") == DrillTask(
        "What is the value of bimu?", ("dalo=ruki", "bimu=temi"), "temi"
    )
    assert DrillTask.from_id("reverse-4-17") == DrillTask(
        "Reverse the list.", ("8 5 4 0",), "0 4 5 8"
    )


def test_a_lookup_has_distinct_keys_and_one_solution() -> None:
    for seed in range(50):
        task = DrillTask.from_id(f"lookup-8-{seed}")
        pairs = dict(line.split("=") for line in task.lines)
        assert len(pairs) == 8
        key = task.question.removeprefix("What is the value of ").removesuffix("?")
        assert pairs[key] == task.solution


@pytest.mark.parametrize("family", ["lookup", "reverse"])
def test_looking_and_answering_right_is_rewarded(family: Any) -> None:
    env = DrillEnv(family=family, size=3)
    question, info = env.reset(seed=5)
    task = DrillTask.from_id(info["task_id"])
    assert info["task_id"].startswith(f"{family}-3-")
    assert question == task.question
    assert env.step(LOOK)[0] == "\n".join(task.lines)
    observation, reward, terminated, truncated, info = env.step(answer(f" {task.solution}\n"))
    assert (observation, reward, terminated, truncated) == ("right", 1.0, True, False)
    assert info["is_success"]


def test_a_wrong_answer_ends_the_task_unrewarded() -> None:
    env = DrillEnv()
    env.reset(seed=0)
    observation, reward, terminated, _, info = env.step(answer("\ud800"))
    assert (observation, reward, terminated) == ("wrong", 0.0, True)
    assert not info["is_success"]
    assert env.effect().terminated


def test_a_named_task_is_given_whatever_the_family() -> None:
    env = DrillEnv(family="lookup", size=2)
    assert env.reset(options={"task_id": "reverse-5-9"})[1]["task_id"] == "reverse-5-9"


def test_the_seed_draws_the_task() -> None:
    env = DrillEnv()
    drawn = [env.reset(seed=seed)[1]["task_id"] for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]
    assert env.reset()[1]["task_id"] != drawn[2]


@pytest.mark.parametrize(
    "task_id", ["", "lookup", "lookup-0-1", "lookup-61-1", "lookup-4-01", "sort-4-1", 7]
)
def test_an_unknown_task_is_refused(task_id: Any) -> None:
    with pytest.raises(TaskError, match="expected a task id like 'lookup-4-17'"):
        DrillEnv().reset(options={"task_id": task_id})


@pytest.mark.parametrize("arguments", [{"family": "sort"}, {"size": 0}, {"size": 61}])
def test_wrong_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        DrillEnv(**arguments)


def test_a_state_of_another_type_is_refused() -> None:
    env = DrillEnv()
    env.reset(seed=0)
    snapshot = env.snapshot()
    forged = replace(snapshot, state={**snapshot.state, "env": {"looked": "yes"}})
    with pytest.raises(SnapshotError, match="must be a bool, got 'yes'"):
        env.reset(options={"snapshot": replace(forged, digest=forged.computed_digest())})
    env.reset(options={"snapshot": snapshot})


def test_rendering_shows_the_conversation() -> None:
    env = gym.make("pivot/Drill-v0", render_mode="ansi")
    env.reset(options={"task_id": "reverse-4-17"})
    env.step(LOOK)
    assert env.render() == f"[user] Reverse the list.\n[assistant] {LOOK}\n[tool] 8 5 4 0"
    assert DrillEnv().render() is None


def test_samples_are_valid_and_follow_the_action_space() -> None:
    env = DrillEnv(max_turns=100)
    env.action_space.seed(3)
    actions = [env.sample_action() for _ in range(20)]
    env.action_space.seed(3)
    assert [env.sample_action() for _ in range(20)] == actions
    assert {'"look"' in action for action in actions} == {True, False}
    for action in actions:
        env.reset(seed=0)
        assert env.step(action)[4]["action_error"] is None
