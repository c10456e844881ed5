"""RememberedSteps, which executes no action twice in the same state."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, SupportsFloat, cast

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from pivot_envs.core import Effect, PivotEnv
from pivot_envs.errors import InfraError
from pivot_envs.snapshot import Message, Snapshot
from wrappers.pivot import Pivot
from wrappers.step_memory import Key, StepMemory, StepRecord


@dataclass(slots=True)
class _Episode:
    """One episode, of which the environment may have executed less than it was told."""

    start: dict[str, Any]
    """The arguments of ``reset`` that begin it, in any environment wrapped alike."""
    latest: StepRecord
    place: str = ""
    """What its start is remembered by; empty if nothing of it may be remembered."""
    actions: list[str] = field(default_factory=list)
    executed: int | None = None
    """Actions that the environment has executed; ``None`` if it has not begun."""


class RememberedSteps(gym.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Answer an action that was taken in the same state before from memory.

    A policy's samples at a pivot are often the same action, and so are the first turns of episodes
    of one task. Restoring and executing each costs milliseconds; here the first one pays. The
    environment catches up, by doing what was only remembered, as soon as something new is asked
    of it. An observation that comes out differently then, such as a duration in a test's output, is
    counted in ``StepMemory.differed``; an episode that ends elsewhere is an ``InfraError``.

    For environments in which the same actions have the same consequences, and in which a task id
    decides how an episode begins, as in those of ``pivot_envs``. What a snapshot or neither a seed
    nor a task begins is executed. Failures of the machinery are never remembered.
    """

    def __init__(self, env: gym.Env[str, str], memory: StepMemory) -> None:
        """Wrap an environment.

        Args:
            env: An environment with a PivotEnv at its core, with all wrappers that decide rewards.
            memory: What is known; shared with environments that are wrapped alike.

        Raises:
            ValueError: There is no PivotEnv at the core.
        """
        RecordConstructorArgs.__init__(self, memory=memory, _disable_deepcopy=True)
        gym.Wrapper.__init__(self, env)
        if not isinstance(env.unwrapped, PivotEnv):
            raise ValueError(f"{type(self).__name__} needs a PivotEnv at the core, got {env}")
        self._core = env.unwrapped
        self._memory = memory
        self._episode: _Episode | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation of this episode."""
        return self._core.messages if self._episode is None else self._episode.latest.messages

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode, in the environment only if that was not done before.

        Raises:
            ValueError: As the environment does.
            SnapshotError: The pivot's snapshot cannot be resumed.
            InfraError: The environment's machinery cannot be started.
        """
        self._episode = None
        begun: list[bool] = []

        def execute() -> StepRecord:
            begun.append(True)
            observation, info = self.env.reset(seed=seed, options=options)
            return self._record(observation, 0.0, False, False, info)

        pivot = None
        if self.env.has_wrapper_attr("choose"):
            pivot = self.env.get_wrapper_attr("choose")(seed=seed, options=options)
        if pivot is not None:
            seed = None
            options = options if options else {"pivot_id": pivot.pivot_id}
        key, keeps = _start_key(seed, options)
        latest = execute() if key is None else self._memory.recall(key, execute, keeps)
        place = ""
        if key is not None and keeps(latest):
            info = latest.info
            place = f"pivot {info['pivot_id']}" if pivot is not None else f"task {info['task_id']}"
        start = {"seed": seed, "options": options}
        self._episode = _Episode(start, latest, place, executed=0 if begun else None)
        return latest.observation, dict(latest.info)

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take an action, in the environment only if it was not taken in this state before.

        Raises:
            gymnasium.error.ResetNeeded: No episode is running.
            InfraError: What was remembered cannot be done again.
        """
        episode = self._episode
        if episode is None or episode.latest.is_over:
            raise gym.error.ResetNeeded("call reset() before step(): no episode is running")

        def execute() -> StepRecord:
            self._catch_up(episode)
            episode.executed = len(episode.actions) + 1
            return self._record(*self.env.step(action))

        if episode.place:
            key = (episode.place, *episode.actions, action)
            latest = self._memory.recall(key, execute, _is_sound)
        else:
            latest = execute()
        episode.actions.append(action)
        episode.latest = latest
        if not _is_sound(latest):
            episode.place = ""
        ends = (latest.terminated, latest.truncated)
        return latest.observation, latest.reward, *ends, dict(latest.info)

    def snapshot(self) -> Snapshot:
        """Save the running episode; see ``PivotEnv.snapshot``."""
        self._catch_up(self._episode)
        return cast(Snapshot, self.env.get_wrapper_attr("snapshot")())

    def effect(self) -> Effect:
        """Return what the last action did; see ``PivotEnv.effect``."""
        self._catch_up(self._episode)
        return cast(Effect, self.env.get_wrapper_attr("effect")())

    def render(self) -> Any:
        """Draw the environment, in the state that it is said to be in."""
        self._catch_up(self._episode)
        return self.env.render()

    def _catch_up(self, episode: _Episode | None) -> None:
        """Let the environment do what was only remembered."""
        if episode is None or episode.executed == len(episode.actions):
            return
        done = episode.executed
        observation = episode.latest.observation
        is_over = False
        if done is None or done > len(episode.actions):
            observation, _ = self.env.reset(**episode.start)
            done = 0
        for action in episode.actions[done:]:
            if is_over:
                raise InfraError(
                    "the same actions ended an episode that they did not end before: this "
                    "environment is not deterministic, so leave RememberedSteps out"
                )
            observation, _, terminated, truncated, info = self.env.step(action)
            if info["infra_error"]:
                raise InfraError(info["infra_error"])
            is_over = terminated or truncated
        episode.executed = len(episode.actions)
        self._memory.compare(observation, episode.latest.observation)

    def _record(
        self,
        observation: str,
        reward: SupportsFloat,
        terminated: bool,
        truncated: bool,
        info: dict[str, Any],
    ) -> StepRecord:
        messages = tuple(self.env.get_wrapper_attr("messages"))
        return StepRecord(observation, float(reward), terminated, truncated, info, messages)


def _start_key(
    seed: int | None, options: dict[str, Any] | None
) -> tuple[Key | None, Callable[[StepRecord], bool]]:
    """Return what a start is remembered by, ``None`` if by nothing, and whether its result may."""
    options = options or {}
    pivot = options.get("pivot")
    if "pivot_id" in options or isinstance(pivot, Pivot):
        pivot_id = pivot.pivot_id if isinstance(pivot, Pivot) else options["pivot_id"]
        return ("start", f"pivot {pivot_id}"), _is_sound
    if set(options) - {"task_id"} or (seed is None and not options):
        return None, _is_sound
    task_id = options.get("task_id")

    def keeps(record: StepRecord) -> bool:
        return seed is not None or record.info.get("task_id") == task_id

    return ("start", f"seed {seed} task {task_id}"), keeps


def _is_sound(record: StepRecord) -> bool:
    return record.info.get("infra_error") is None
