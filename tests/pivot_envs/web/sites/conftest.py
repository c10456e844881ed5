from collections.abc import Callable, Iterator, Sequence

import pytest

from pivot_envs.web.env import WebEnv
from pivot_envs.web.sites.script import Script, Step
from pivot_envs.web.sites.suite import make_instance

Perform = Callable[[str, Sequence[Step]], float]


@pytest.fixture(scope="session")
def sites_env(browser: None) -> Iterator[WebEnv]:
    """Return an environment on the sites that tests share, one after the other."""
    env = WebEnv(suite="sites", max_turns=60)
    yield env
    env.close()


@pytest.fixture
def perform(sites_env: WebEnv) -> Perform:
    """Return a function that takes steps in a task, to the end; it returns the reward."""

    def run(task_id: str, steps: Sequence[Step]) -> float:
        template, _, seed = task_id.partition("#")
        script = Script(steps, make_instance(template, int(seed)).origin)
        observation, _ = sites_env.reset(options={"task_id": task_id})
        is_over = False
        while not is_over:
            action = script.next_call(observation).as_text()
            observation, reward, terminated, truncated, info = sites_env.step(action)
            assert (info["action_error"], info["infra_error"]) == (None, None)
            is_over = terminated or truncated
        return reward

    return run
