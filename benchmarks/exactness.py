"""How exactly web episodes come back: random prefixes, a restore, and the same further actions."""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pivot_envs.core import Effect
from pivot_envs.errors import InfraError, SnapshotError
from pivot_envs.snapshot import Snapshot
from pivot_envs.web.env import WebEnv
from pivot_envs.web.wandering import wander

_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Walk:
    """A random walk in one task, and whether it went the same way after a restore."""

    task_id: str
    input: str
    prefix: int
    """Actions before the snapshot."""
    further: int
    """Actions after it that were compared."""
    restore_ms: float
    difference: str | None
    """What came back different, ``None`` if nothing did."""


Step = tuple[str, float, bool, bool, Effect | None]


def walk(env: WebEnv, task_id: str, seed: int, most: int, further: int, source: str) -> Walk:
    """Walk 1 to ``most`` actions, save, go on, come back, and go the same way again."""
    generator = np.random.default_rng([seed, len(task_id), *task_id.encode()])
    actions, saved = _prefix(env, task_id, generator, int(generator.integers(1, most + 1)))
    digest = env.effect().state_digest
    expected, taken = _go_on(env, generator, further)
    began = time.perf_counter()
    difference: str | None = None
    try:
        env.reset(options={"snapshot": saved})
    except SnapshotError as error:
        return Walk(task_id, source, len(actions), 0, 0.0, str(error))
    restore_ms = (time.perf_counter() - began) * 1000
    if env.effect().state_digest != digest:
        difference = "the digest after the restore"
    for turn, action in enumerate(taken):
        got = _step(env, action)
        if difference is None and got != expected[turn]:
            difference = f"further action {turn + 1}, {action}: {_first(expected[turn], got)}"
    return Walk(task_id, source, len(actions), len(taken), restore_ms, difference)


def walks(
    tasks: Sequence[str], seeds: Sequence[int], source: str, *, most: int = 8, further: int = 5
) -> Iterator[Walk]:
    """Walk in every task with every seed."""
    env = WebEnv(input="trusted" if source == "trusted" else "js", timeout_s=120.0)
    try:
        for task in tasks:
            for seed in seeds:
                task_id = f"{task}#{seed}"
                try:
                    yield walk(env, task_id, seed, most, further, source)
                except InfraError as error:
                    yield Walk(task_id, source, 0, 0, 0.0, f"{type(error).__name__}: {error}")
    finally:
        env.close()


def summary(done: Sequence[Walk]) -> dict[str, object]:
    """Return counts, restore times and the exceptions with their causes."""
    restores = sorted(walk.restore_ms for walk in done if walk.restore_ms)
    return {
        "walks": len(done),
        "exact": sum(walk.difference is None for walk in done),
        "tasks": len({walk.task_id.partition("#")[0] for walk in done}),
        "mean_prefix": statistics.fmean(walk.prefix for walk in done) if done else 0.0,
        "compared_actions": sum(walk.further for walk in done),
        "restore_ms_median": statistics.median(restores) if restores else None,
        "exceptions": {w.task_id: w.difference for w in done if w.difference is not None},
    }


def _prefix(
    env: WebEnv, task_id: str, generator: np.random.Generator, length: int
) -> tuple[list[str], Snapshot]:
    """Take random actions that do not end the episode, and save the state after them."""
    actions: list[str] = []
    env.reset(options={"task_id": task_id})
    for _ in range(_ATTEMPTS * length):
        if len(actions) == length:
            break
        action = wander(env.page.text, generator).as_text()
        _, _, terminated, truncated, info = env.step(action)
        if info["infra_error"]:
            raise InfraError(info["infra_error"])
        if terminated or truncated:
            env.reset(options={"task_id": task_id})
            for earlier in actions:
                env.step(earlier)
        else:
            actions.append(action)
    return actions, env.snapshot()


def _go_on(
    env: WebEnv, generator: np.random.Generator, further: int
) -> tuple[list[Step], list[str]]:
    steps: list[Step] = []
    actions: list[str] = []
    while len(actions) < further and env.is_running:
        actions.append(wander(env.page.text, generator).as_text())
        steps.append(_step(env, actions[-1]))
    return steps, actions


def _step(env: WebEnv, action: str) -> Step:
    observation, reward, terminated, truncated, info = env.step(action)
    if info["infra_error"]:
        return observation, reward, terminated, truncated, None
    return observation, float(reward), terminated, truncated, env.effect()


def _first(expected: Step, got: Step) -> str:
    names = ("observation", "reward", "terminated", "truncated", "effect")
    for name, wanted, came in zip(names, expected, got, strict=True):
        if wanted != came:
            return f"{name} {wanted!r:.160} became {came!r:.160}"
    return ""
