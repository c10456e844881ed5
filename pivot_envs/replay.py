"""Frames of an episode: recording one with its snapshots, and playing its actions again."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any

import gymnasium as gym

from pivot_envs.core import PivotEnv
from pivot_envs.effect import Effect
from pivot_envs.snapshot import Message, Snapshot
from pivot_envs.tools import ToolCall

ATTEMPTS = 20
"""How many episodes are tried to find one that is long enough."""


@dataclass(frozen=True, slots=True)
class Frame:
    """All that can be seen of an environment after a reset or a step."""

    observation: str
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]
    messages: tuple[Message, ...]
    effect: Effect

    def as_start(self) -> "Frame":
        """Return the frame that a restore at this point has to show."""
        return Frame(
            observation=self.observation,
            reward=0.0,
            terminated=False,
            truncated=False,
            info={key: self.info[key] for key in ("task_id", "elapsed_turns")},
            messages=self.messages,
            effect=Effect(self.effect.state_digest, frozenset(), False),
        )


@dataclass(frozen=True, slots=True)
class Episode:
    """An uninterrupted episode with the state before each action."""

    actions: tuple[str, ...]
    frames: tuple[Frame, ...]
    """One more than actions: the first is the reset's."""
    snapshots: tuple[Snapshot, ...]
    """One an action, taken before it."""


def core_of(env: gym.Env[str, str]) -> PivotEnv:
    """Return the PivotEnv inside ``env``.

    Raises:
        TypeError: There is none.
    """
    core = env.unwrapped
    if not isinstance(core, PivotEnv):
        raise TypeError(f"expected a PivotEnv, wrapped or not, got {core!r}")
    return core


def propose(env: PivotEnv) -> str:
    """Return the environment's ``sample_action()``, or a call of a tool that needs no arguments.

    Raises:
        ValueError: The environment offers neither.
    """
    sample_action: Callable[[], str] | None = getattr(env, "sample_action", None)
    if sample_action is not None:
        return sample_action()
    for tool in env.tools:
        if not tool.parameters.get("required"):
            return ToolCall(tool.name, {}).as_text()
    raise ValueError(
        f"{type(env).__name__} has no sample_action() and every tool needs arguments: "
        "pass actions=, a function that proposes the next action"
    )


def record(
    env: gym.Env[str, str], *, seed: int, turns: int, choose: Callable[[PivotEnv], str]
) -> Episode:
    """Record an episode of ``turns`` turns, or the longest found if all end earlier."""
    longest = _record_once(env, seed, seed, turns, choose)
    for attempt in range(1, ATTEMPTS):
        if len(longest.actions) == turns:
            break
        episode = _record_once(env, seed, seed + attempt, turns, choose)
        longest = max(longest, episode, key=lambda each: len(each.actions))
    return longest


def play(env: gym.Env[str, str], snapshot: Snapshot, actions: Sequence[str]) -> tuple[Frame, ...]:
    """Resume a snapshot and take actions until they or the episode end."""
    observation, info = env.reset(options={"snapshot": snapshot})
    frames = [_first_frame(env, observation, info).as_start()]
    for action in actions:
        frames.append(_step(env, action))
        if frames[-1].terminated or frames[-1].truncated:
            break
    return tuple(frames)


def play_saved(
    make_env: Callable[[], gym.Env[str, str]],
    saved: Sequence[tuple[str, Mapping[str, bytes]]],
    actions: Sequence[str],
) -> list[tuple[Frame, ...]]:
    """Make an environment and ``play`` every state of an episode in it.

    Args:
        make_env: Makes the environment.
        saved: Manifest as JSON text and blobs of the state before each action.
        actions: The actions of the episode.
    """
    with closing(make_env()) as env:
        return [
            play(env, Snapshot.from_manifest(json.loads(manifest), blobs), actions[turn:])
            for turn, (manifest, blobs) in enumerate(saved)
        ]


def difference(expected: Sequence[Frame], got: Sequence[Frame]) -> str | None:
    """Describe the first difference between two runs of the same actions, ``None`` if none."""
    for turn, (one, other) in enumerate(zip(expected, got, strict=False)):
        for field in fields(Frame):
            wanted, came = getattr(one, field.name), getattr(other, field.name)
            if wanted != came:
                return f"{field.name} after {turn} actions: {wanted!r:.300} became {came!r:.300}"
    return None


def _record_once(
    env: gym.Env[str, str],
    seed: int,
    action_seed: int,
    turns: int,
    choose: Callable[[PivotEnv], str],
) -> Episode:
    core = core_of(env)
    core.action_space.seed(action_seed)
    observation, info = env.reset(seed=seed)
    frames = [_first_frame(env, observation, info)]
    actions: list[str] = []
    snapshots: list[Snapshot] = []
    while len(actions) < turns and not (frames[-1].terminated or frames[-1].truncated):
        snapshots.append(core.snapshot())
        actions.append(choose(core))
        frames.append(_step(env, actions[-1]))
    return Episode(tuple(actions), tuple(frames), tuple(snapshots))


def _first_frame(env: gym.Env[str, str], observation: str, info: dict[str, Any]) -> Frame:
    core = core_of(env)
    return Frame(observation, 0.0, False, False, info, core.messages, core.effect())


def _step(env: gym.Env[str, str], action: str) -> Frame:
    observation, reward, terminated, truncated, info = env.step(action)
    core = core_of(env)
    return Frame(
        observation, float(reward), terminated, truncated, info, core.messages, core.effect()
    )
