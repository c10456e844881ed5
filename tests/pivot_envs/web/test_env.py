import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from pivot_envs.testing import check_pivot_env
from pivot_envs.web.env import WebEnv
from pivot_envs.web.suite import Suite

Make = Callable[..., WebEnv]
Call = Callable[..., str]


def test_the_first_observation_has_the_task_and_the_page(make_env: Make) -> None:
    observation, info = make_env().reset(seed=7, options={"task_id": "click-checkboxes"})
    assert observation.startswith("Select Neb and click Submit.\n\n[1] checkbox ")
    assert '[6] button "Submit"' in observation
    assert info["task_id"] == "click-checkboxes#7"


def test_a_task_done_right_is_worth_1(make_env: Make, call: Call) -> None:
    env = make_env()
    env.reset(options={"task_id": "click-checkboxes#7"})
    observation, _, terminated, _, _ = env.step(call("click", ref=4))
    assert '[4] checkbox "Neb" checked focused' in observation
    assert not terminated
    _, reward, terminated, _, info = env.step(call("click", ref=6))
    assert (reward, terminated, info["is_success"]) == (1.0, True, True)
    assert info["raw_reward"] == 1.0
    assert 0.9 < info["decayed_reward"] < 1.0


def test_a_task_done_wrong_is_worth_0(make_env: Make, call: Call) -> None:
    env = make_env()
    env.reset(options={"task_id": "click-test-2#1"})
    observation = env.messages[0].content
    wrong = 1 if '[1] button "TWO"' in observation else 2
    _, reward, terminated, _, info = env.step(call("click", ref=wrong))
    assert (reward, terminated, info["raw_reward"]) == (0.0, True, -1.0)


def test_bad_refs_and_values_are_observations_with_the_page(make_env: Make, call: Call) -> None:
    env = make_env()
    env.reset(options={"task_id": "enter-text#1"})
    for action, words in (
        (call("click", ref=99), "there is no [99]; the refs on this page are 1 to 2"),
        (call("fill", ref=2, text="a"), "[2] is no field"),
        (call("select", ref=1, option="a"), "[1] is no list of options"),
        (call("press", key="NoSuchKey"), "unknown key"),
        (call("drag", from_ref=1), "drag needs to_ref, or dx and dy"),
    ):
        observation, _, terminated, truncated, info = env.step(action)
        assert words in info["action_error"]
        assert words in observation
        assert "[1] textbox" in observation
        assert not terminated
        assert not truncated


def test_an_unknown_task_is_an_error(make_env: Make) -> None:
    with pytest.raises(ValueError, match="unknown task 'no-such-task'"):
        make_env(tasks=["no-such-task"])
    with pytest.raises(ValueError, match="expected a task id like 'click-test#7'"):
        make_env().reset(options={"task_id": "click-test#x"})


def test_pages_are_drawn(make_env: Make, call: Call) -> None:
    env = make_env(render_mode="rgb_array")
    env.reset(options={"task_id": "click-checkboxes#7"})
    before = env.render()
    assert before.shape == (214, 332, 3)
    assert before.dtype == np.uint8
    env.step(call("click", ref=4))
    assert (env.render() != before).any()


def test_drawing_leaves_the_episode_undisturbed(make_env: Make, call: Call) -> None:
    env = make_env(render_mode="rgb_array")
    env.reset(options={"task_id": "use-autocomplete#3"})
    env.step(call("fill", ref=1, text="a"))
    before = env.effect()
    env.render()
    assert env.effect() == before
    env.reset(options={"snapshot": env.snapshot()})
    assert env.effect().state_digest == before.state_digest


def test_delayed_effects_happen_within_the_turn(make_env: Make, call: Call) -> None:
    env = make_env()
    env.reset(options={"task_id": "click-collapsible#1"})
    observation, *_ = env.step(call("click", ref=1))
    assert "Submit" in observation


def test_it_works_in_threads_and_inside_an_event_loop(make_env: Make) -> None:
    env = make_env(tasks=["click-test#1"])
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(env.reset()[0]))
    thread.start()
    thread.join(60)

    async def in_a_loop() -> None:
        seen.append(env.reset()[0])

    asyncio.run(in_a_loop())
    assert len(seen) == 2
    assert seen[0] == seen[1]


def test_environments_of_a_process_run_side_by_side(make_env: Make, call: Call) -> None:
    envs = [make_env(tasks=[f"click-checkboxes#{seed}"]) for seed in range(4)]
    alone = [env.reset()[0] for env in envs]
    together: dict[int, str] = {}

    def work(index: int) -> None:
        for _ in range(5):
            together[index] = envs[index].reset()[0]
            envs[index].step(call("click", ref=1))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [together[index] for index in range(4)] == alone


def test_a_worker_process_of_a_vector_env_has_a_browser_of_its_own(browser: None) -> None:
    make = functools.partial(gym.make, "pivot_envs:pivot/Web-v0", tasks=["click-test-2"])
    envs = gym.vector.AsyncVectorEnv([make, make], shared_memory=False, context="spawn")
    try:
        observations, _ = envs.reset(seed=[1, 2])
        assert all("button" in observation for observation in observations)
    finally:
        envs.close()


@pytest.mark.slow
def test_a_suite_with_a_server_keeps_the_contract(notes_suite: type[Suite], browser: None) -> None:
    make: Callable[[], gym.Env[Any, Any]] = functools.partial(WebEnv, suite=notes_suite)
    check_pivot_env(make, check_process=False)


@pytest.mark.slow
def test_trusted_input_keeps_the_contract(browser: None) -> None:
    make = functools.partial(WebEnv, tasks=["login-user", "click-checkboxes"], input="trusted")
    check_pivot_env(make, check_process=False)
