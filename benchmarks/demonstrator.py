"""How often the scripted demonstrator solves each task of MiniWoB++."""

import sys
from collections.abc import Iterable

from pivot_agents.policy import Context
from pivot_agents.web_expert import WebExpert
from pivot_agents.web_expert.expert import SKILLS
from pivot_envs.web.env import WebEnv


def successes(tasks: Iterable[str], seeds: Iterable[int], env: WebEnv) -> dict[str, list[float]]:
    """Return the rewards of one episode per task and seed."""
    rewards: dict[str, list[float]] = {}
    for task in tasks:
        for seed in seeds:
            reward = _episode(env, f"{task}#{seed}")
            rewards.setdefault(task, []).append(reward)
    return rewards


def _episode(env: WebEnv, task_id: str) -> float:
    expert = WebExpert()
    env.reset(options={"task_id": task_id})
    reward = 0.0
    while env.is_running:
        context = Context(env.messages, env.tools, env.task_id)
        _, reward, _, _, info = env.step(expert.act([context])[0].text)
        if info["infra_error"]:
            print(f"{task_id}: {info['infra_error']}", file=sys.stderr)
    return float(reward)


def report(seeds: int, tasks: Iterable[str] = ()) -> dict[str, object]:
    """Run the demonstrator, print a line per task, and return the success rates."""
    env = WebEnv()
    rates: dict[str, float] = {}
    try:
        for task in tasks or SKILLS:
            rewards = successes([task], range(seeds), env)[task]
            rates[task] = sum(reward >= 1 for reward in rewards) / len(rewards)
            print(f"{task:32} {rates[task]:5.0%}", flush=True)
    finally:
        env.close()
    solved = sum(rate >= 0.9 for rate in rates.values())
    print(f"{solved} of {len(rates)} tasks solved in at least 90 % of {seeds} episodes")
    return {"seeds": seeds, "success": rates}
