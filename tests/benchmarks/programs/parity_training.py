"""Trains a tiny random model to say texts of odd length: once, or killed again and again.

``parity_training.py FOLDER once``, ``parity_training.py FOLDER pivots`` or ``parity_training.py
FOLDER killed SEED KILLS``; metrics and checkpoints are in FOLDER. Under torchrun each process has a
folder of its own in it. ``pivots`` trains from states that a curriculum chooses by likelihoods, and
from those that were reached.
"""

import functools
import json
import os
import random
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import gymnasium as gym
import torch

import pivot_envs  # noqa: F401  registers the environments
from benchmarks.training_log import TrainingLog
from pivot_agents.lazy import LazyConfig, LazyProfiler
from pivot_agents.likelihood import demonstration_likelihoods
from pivot_agents.llm import LLMPolicy
from pivot_agents.needed import needed_candidates
from pivot_agents.policy import ScriptedPolicy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.processes import Processes
from pivot_agents.reached import ReachedStates
from pivot_agents.rollout import rollout
from pivot_agents.tiny import tiny_model, train_tokenizer
from pivot_agents.trainers.policy_gradient import PolicyGradientConfig, PolicyGradientTrainer
from pivot_envs.drill import DrillTask
from pivot_envs.tools import ToolCall
from wrappers import PivotResetWrapper, ProgressReward

STEPS = 10
CONFIG = PolicyGradientConfig(
    max_steps=STEPS, groups_per_step=4, group_size=4, updates_per_step=2, learning_rate=3e-3
)
RULE = LazyConfig(group_size=4, likelihood_steps=3, rest_steps=1)


class OddLength(gym.Wrapper):
    """Rewards every action of odd length; a random model is right about half of the time."""

    def step(self, action):
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, float(len(action) % 2), terminated, truncated, info


def make_drill():
    return gym.make("pivot/Drill-v0", max_turns=2, disable_env_checker=True)


def make_env():
    return OddLength(make_drill())


@functools.cache
def pivots():
    """States at the beginning of twelve drills, before the answer."""

    def expert(context):
        text = DrillTask.from_id(context.task_id).solution
        return ToolCall("answer", {"text": text}).as_text()

    with EnvPool(make_drill, 4) as pool:
        starts = [Start(seed) for seed in range(12)]
        shown = rollout(pool, ScriptedPolicy(expert), starts, record_snapshots=True)
        return needed_candidates(shown, pool)


def make_pivot_env():
    return OddLength(ProgressReward(PivotResetWrapper(make_drill(), pivots()), keeps_reached=True))


@functools.cache
def base():
    tokenizer = train_tokenizer(["Reverse the list."], 300)
    return LLMPolicy(tiny_model(300), tokenizer, max_new_tokens=6)


def train(folder):
    with EnvPool(make_env, 4) as pool:
        run(PolicyGradientTrainer(base().with_adapter(), pool, CONFIG), folder)


def train_from_pivots(folder):
    policy = base().with_adapter()
    processes = Processes.current(policy.model.device)
    likelihoods = functools.partial(
        demonstration_likelihoods, policy, pivots(), processes=processes
    )
    curriculum = ReachedStates(LazyProfiler(pivots(), RULE, likelihoods), pivots())
    with EnvPool(make_pivot_env, 4) as pool:
        run(PolicyGradientTrainer(policy, pool, CONFIG, curriculum=curriculum), folder)
    choices = {"started": curriculum.started, **curriculum.state()}
    (folder / str(processes.rank) / "choices.json").write_text(json.dumps(choices))


def run(trainer, folder):
    folder = folder / str(trainer.processes.rank)
    log = TrainingLog(folder, trainer, base_success=0.0, validate=lambda: 0.0)
    for metrics in trainer.train():
        log.keep(asdict(metrics))


def train_and_be_killed(folder, seed, kills):
    """Kill the training at random moments, then let it finish; prints what was killed."""
    base()
    chance = random.Random(seed)
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            train(folder)
            os._exit(0)
        wait_for(finished_steps(folder) + chance.randint(0, 1), child, folder)
        # Somewhere in the next rollouts, update or checkpoint, or still in the start.
        time.sleep(chance.uniform(0.0, 1.5) * step_s(folder))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        state = "killed" if os.WIFSIGNALED(status) else "finished"
        print(state, "after step", finished_steps(folder), flush=True)
    train(folder)


def wait_for(steps, child, folder):
    """Wait until so many steps are finished, or the child is; it is not reaped."""
    while finished_steps(folder) < min(steps, STEPS):
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.005)


def finished_steps(folder):
    return len(finished(folder))


def step_s(folder):
    """Seconds that the fastest step took, on this machine; one may have been slow by chance."""
    return min((json.loads(line)["wall_s"] for line in finished(folder)), default=0.2)


def finished(folder):
    """The lines of the finished steps."""
    metrics = folder / "0" / "metrics.jsonl"
    text = metrics.read_text() if metrics.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[2] == "once":
        train(Path(sys.argv[1]))
    elif sys.argv[2] == "pivots":
        train_from_pivots(Path(sys.argv[1]))
    else:
        train_and_be_killed(Path(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4]))
