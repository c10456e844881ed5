"""What every backend of a pool does, and what happens when a worker dies."""

import functools
import gc
import importlib.util
import os
import signal
import subprocess
import sys
import time
import warnings

import gymnasium as gym
import pytest

from pivot_agents.policy import ScriptedPolicy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_envs.drill import DrillTask
from pivot_envs.tools import ToolCall
from wrappers import Pivot, PivotResetWrapper, ProgressReward

LOOK = '{"name": "look", "arguments": {}}'

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="ray is not installed: pip install 'pivotrl-envs[ray]'",
)
BACKENDS = ["processes", pytest.param("ray", marks=[needs_ray, pytest.mark.slow])]


class Odd(gym.Wrapper):
    """Breaks in a way that is no failure of the machinery."""

    def step(self, action):
        if action == "bug":
            raise KeyError("bug")
        return self.env.step(action)


def make_drill(max_turns=3):
    return Odd(gym.make("pivot/Drill-v0", max_turns=max_turns, disable_env_checker=True))


@pytest.fixture(scope="module", autouse=True)
def _end_ray():
    yield
    if importlib.util.find_spec("ray") is not None:
        import ray

        # Ray leaves its own processes to the garbage collector.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            ray.shutdown()
            gc.collect()


@pytest.fixture(params=BACKENDS)
def pool(request):
    with EnvPool(functools.partial(make_drill, 3), 2, backend=request.param) as pool:
        yield pool


@pytest.mark.timeout(300)
def test_a_backend_gives_what_threads_give(pool):
    starts = [Start(seed) for seed in range(3)]
    policy = ScriptedPolicy(lambda _: LOOK)
    with EnvPool(make_drill, 2) as threads:
        expected = rollout(threads, policy, starts, record_snapshots=True)
    assert rollout(pool, policy, starts, record_snapshots=True) == expected


def make_drill_at(pivot):
    return ProgressReward(PivotResetWrapper(make_drill(4), [pivot]), keeps_reached=True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_reached_state_comes_from_one_worker_and_is_begun_in_another(backend):
    env = make_drill(4)
    _, info = env.reset(seed=0)
    core = env.unwrapped
    rest = (
        LOOK,
        ToolCall("answer", {"text": DrillTask.from_id(info["task_id"]).solution}).as_text(),
    )
    snapshot = core.snapshot()
    env.step(LOOK)
    pivot = Pivot("p", "t", 0, snapshot, LOOK, core.effect(), "look", rest=rest)
    with EnvPool(functools.partial(make_drill_at, pivot), 2, backend=backend) as pool:
        pool.reset({0: Start(options={"pivot_id": "p"})})
        after = pool.step({0: LOOK})[0].info["reached"]
        assert after.rest == rest[1:]
        begun = pool.reset({1: Start(options={"pivot": after})})[1]
        assert begun.info["pivot_id"] == after.pivot_id
        assert pool.step({1: rest[1]})[1].reward == 1.0


@pytest.mark.timeout(300)
def test_a_killed_worker_costs_one_episode(pool):
    killed = []

    def look_or_kill(context):
        if not killed:
            killed.append(pool._hosts[1].pid)
            os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.5)
        return LOOK

    episodes = rollout(pool, ScriptedPolicy(look_or_kill), [Start(seed) for seed in range(5)])
    errors = [episode.infra_error for episode in episodes]
    assert [error is None for error in errors].count(False) == 1
    assert errors[1].startswith("WorkerError: the")
    assert all(len(one.transitions) == 3 for one in episodes if one.infra_error is None)
    assert pool._hosts[1].pid != killed[0]


SCRIPT = """
import gymnasium as gym
import pivot_envs
from pivot_agents.pool import EnvPool, Start

class Own(Exception):
    pass

class Thing:
    pass

class Odd(gym.Wrapper):
    def step(self, action):
        if action == "bug":
            raise Own("bug")
        *rest, info = self.env.step(action)
        lock = __import__("threading").Lock() if action == "lock" else None
        return *rest, {**info, "thing": Thing(), "lock": lock}

if __name__ == "__main__":
    with EnvPool(lambda: Odd(gym.make("pivot/Drill-v0")), 1, backend="processes") as pool:
        pool.reset({0: Start(0)})
        print(isinstance(pool.step({0: "look"})[0].info["thing"], Thing))
        for action in ("bug", "lock"):
            try:
                pool.step({0: action})
            except Exception as error:
                print(isinstance(error, Own), error)
"""


@pytest.mark.timeout(300)
def test_classes_of_the_users_own_script_come_back_from_a_worker_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=120
    )
    told = done.stdout.splitlines()
    assert told[:2] == ["True", "True bug"], done.stderr
    assert told[2].startswith("False an environment answered what cannot be sent: Outcome(")


@pytest.mark.timeout(300)
def test_a_bug_in_a_worker_is_raised_here(pool):
    pool.reset({0: Start(0)})
    with pytest.raises(KeyError, match="bug"):
        pool.step({0: "bug"})
    assert not pool.step({0: LOOK})[0].is_over


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="expected a backend"):
        EnvPool(make_drill, 1, backend="fork")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_worker_that_cannot_make_its_environment_says_why(backend):
    with (
        EnvPool(lambda: gym.make("pivot/Drill-v0", nonsense=1), 1, backend=backend) as pool,
        pytest.raises(TypeError, match="nonsense"),
    ):
        pool.reset({0: Start(0)})
