"""Runs episodes and prints what this process and its boxes hold before and after them, as JSON.

``episodes.py TASKS WARM_UP EPISODES REOPEN_EVERY``: the environment is closed after so many, and
measured open unless it is closed after each.
"""

import json
import sys
from dataclasses import asdict

import gymnasium as gym

import pivot_envs  # noqa: F401  registers the environments
from benchmarks.leaks import Figures, run_episodes, settle


def measured(env, count, reopen_every):
    run_episodes(env, count, reopen_every=reopen_every)
    if reopen_every > 1:
        settle(env)
        # Answered when the box has done all that it does after an answer.
        env.unwrapped.snapshot()
    return asdict(Figures.measure())


def main(tasks, warm_up, episodes, reopen_every):
    env = gym.make("pivot/Coding-v0", tasks=tasks, command_timeout_s=20.0)
    counts = (int(warm_up), int(episodes))
    print(json.dumps([measured(env, count, int(reopen_every)) for count in counts]))
    env.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
