"""Snapshots of real tasks come back as they were, a thousand times over."""

import json
import random

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.task import CodingTask
from pivot_envs.core import Effect
from pivot_envs.snapshot import Message

ROUND_TRIPS = 1000
TASKS = 10

COMMANDS = (
    "mkdir -p empty/deep && touch 'a file' && chmod 700 'a file'",
    "ln -sf setup.cfg link; ln -sfn tests folder_link",
    "rm -rf docs README* AUTHORS; rmdir empty/deep 2>/dev/null; true",
    "export SEEN=$((SEEN + 1)); greet() { echo hello $1; }; alias ll='ls -l'",
    "cd tests; shopt -s nullglob; set -o noclobber",
    "cd /workspace; umask 027; echo $RANDOM > /dev/null; printf '\\0\\377' > bytes",
    "(sleep 300 &) ; echo started",
)
STATE = 'pwd; umask; echo "$SEEN"; type greet; shopt nullglob; set -o | grep noclobber'


def drawn_action(generator: random.Random, task: CodingTask) -> str:
    if generator.random() < 0.3:
        text = f"# {generator.random()}"
        arguments = {"path": task.mutation.path, "start": 1, "end": 0, "text": text}
        return json.dumps({"name": "edit", "arguments": arguments})
    command = generator.choice(COMMANDS)
    return json.dumps({"name": "bash", "arguments": {"command": command}})


def observed(env: CodingEnv) -> tuple[Effect, tuple[Message, ...], str]:
    """Return what can be told of a state; the last part spends a turn."""
    effect, messages = env.effect(), env.messages
    state, *_ = env.step(json.dumps({"name": "bash", "arguments": {"command": STATE}}))
    return Effect(effect.state_digest, frozenset(), False), messages, state


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_random_round_trips_on_real_tasks_have_no_mismatch(
    real_tasks: tuple[CodingTask, ...],
) -> None:
    generator = random.Random(0)
    tasks = generator.sample(real_tasks, TASKS)
    env = CodingEnv(task_ids=[task.task_id for task in tasks], max_turns=10**6)
    mismatches = 0
    for trip in range(ROUND_TRIPS):
        if trip % (ROUND_TRIPS // TASKS) == 0:
            task = tasks[trip * TASKS // ROUND_TRIPS]
            env.reset(options={"task_id": task.task_id})
            saved = [env.snapshot()]
            expected = [observed(env)]
            env.reset(options={"snapshot": saved[0]})
        env.step(drawn_action(generator, task))
        saved.append(env.snapshot())
        expected.append(observed(env))
        chosen = generator.randrange(len(saved))
        env.reset(options={"snapshot": saved[chosen]})
        mismatches += observed(env) != expected[chosen]
        env.reset(options={"snapshot": saved[chosen]})
    env.close()
    assert mismatches == 0
