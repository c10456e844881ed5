"""Random states of real tasks come back: odd names, links and modes, and all of the shell."""

import json
import random
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.task import CodingTask
from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.tools import ToolCall

TRIPS_PER_TASK = 125
TASKS = 4

# What a shell can tell about the box, read anew and by other means than a snapshot's.
PROBE = ToolCall(
    "bash",
    {
        "command": "pwd; umask; shopt -po; shopt -p | grep -E 'glob|expand'; alias; declare -f; "
        "declare -p A B LIST 2>&1; trap; cd /workspace; "
        "find . -printf '%P %y %m %l\\n' | LC_ALL=C sort; "
        "find . -type f -exec md5sum {} + 2>&1 | LC_ALL=C sort | md5sum; cd - >/dev/null"
    },
)

NAMES = ("a", "b.txt", "with space", "-dash", "é☃", "d/e", "d/f/g.py", "new\nline", "'q\"", "d")


def quoted(name: str) -> str:
    return "./'" + name.replace("'", "'\\''") + "'"


def file_commands(dice: random.Random) -> str:
    one, other = quoted(dice.choice(NAMES)), quoted(dice.choice(NAMES))
    return dice.choice(
        (
            f"mkdir -p d/f; echo {dice.random()} > {one}",
            f"head -c {dice.choice((1, 5000, 70000))} /dev/urandom > {one}",
            f"echo more >> {one}",
            f": > {one}",
            f"rm -rf {one}",
            f"mkdir -p {one}/empty/{dice.randint(0, 9)}",
            f"ln -sfn {other} {one}",
            f"ln -sfn /etc/hosts {one}; ln -sfn loop loop",
            f"ln -f {one} {other}",
            f"mv -f {one} {other}",
            f"cp -r {one} {other}",
            f"chmod {dice.choice(('600', '755', '4755', '444', '711', '1777'))} {one}",
            "rm -rf d *.txt",
        )
    )


def shell_commands(dice: random.Random) -> str:
    number = dice.randint(0, 99)
    return dice.choice(
        (
            f"A={number}; export B='x\n\"$A\" {number}'",
            f"LIST=(one 'two {number}' $'three\\n'); declare -A MAP=([k]={number})",
            f'f{number % 3}() {{ echo "{number} $1"; }}; export -f f{number % 3}',
            f"alias go{number % 3}='echo {number}'; unalias go0",
            "unset A B LIST; unset -f f0",
            f"umask {dice.choice(('022', '077', '002'))}",
            f"set {dice.choice('+-')}o {dice.choice(('pipefail', 'noclobber', 'noglob'))}",
            f"shopt -{dice.choice('su')} {dice.choice(('nullglob', 'extglob', 'expand_aliases'))}",
            "mkdir -p /workspace/d/f && cd /workspace/d/f",
            "cd /workspace",
            "cd /tmp",
            f"sleep 300 & (sleep 300; echo {number} > late) &",
            "false",
        )
    )


def random_call(dice: random.Random, task: CodingTask) -> ToolCall:
    if dice.random() < 0.45:
        return ToolCall("bash", {"command": file_commands(dice)})
    if dice.random() < 0.65:
        return ToolCall("bash", {"command": shell_commands(dice)})
    line, text = dice.randint(1, 20), f"# {dice.random()}"
    return dice.choice(
        (
            ToolCall("view", {}),
            ToolCall("view", {"path": task.bug.mutation.path, "start": line, "end": line + 5}),
            ToolCall(
                "edit", {"path": task.bug.mutation.path, "start": line, "end": line, "text": text}
            ),
            ToolCall("edit", {"path": "d/new/file.py", "start": 1, "end": 0, "text": text}),
            ToolCall("edit", {"path": "tests/__init__.py", "start": 1, "end": 1, "text": text}),
        )
    )


@pytest.fixture(scope="module")
def real_env(real_tasks: tuple[CodingTask, ...]) -> Iterator[CodingEnv]:
    assert real_tasks
    env = CodingEnv(max_turns=10**6, command_timeout_s=20.0, max_output_chars=100_000)
    try:
        env.reset(seed=0)
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    yield env
    env.close()


def look(env: CodingEnv) -> str:
    observation, *_, info = env.step(PROBE.as_text())
    assert info["infra_error"] is None
    return observation


def trip(env: CodingEnv, next_call: Callable[[], ToolCall]) -> None:
    *_, info = env.step(next_call().as_text())
    assert info["infra_error"] is None
    snapshot, digest = env.snapshot(), env.effect().state_digest
    seen = look(env)
    env.step(next_call().as_text())
    env.step(next_call().as_text())
    env.reset(options={"snapshot": snapshot})
    assert env.effect().state_digest == digest
    assert env.messages == snapshot.messages
    again = env.snapshot()
    assert again.state == snapshot.state, "the saved state differs from the restored one"
    assert again.digest == snapshot.digest
    assert look(env) == seen


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("package", ["more-itertools", "sqlparse"])
def test_a_thousand_random_states_of_real_tasks_come_back_exactly(
    real_env: CodingEnv, real_tasks: tuple[CodingTask, ...], package: str
) -> None:
    dice = random.Random(package)
    tasks = [task for task in real_tasks if task.package == package]
    for task in dice.sample(tasks, TASKS):
        real_env.reset(options={"task_id": task.task_id})
        for _ in range(TRIPS_PER_TASK):
            trip(real_env, partial(random_call, dice, task))


def test_a_manifest_is_plain_data(real_env: CodingEnv) -> None:
    real_env.reset(seed=1)
    look(real_env)
    manifest = real_env.snapshot().manifest()
    assert json.loads(json.dumps(manifest)) == manifest
