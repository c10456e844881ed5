"""PivotEnv, the contract: a Gymnasium environment whose states can be saved and resumed."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym

from pivot_envs.effect import Effect, ToolResult
from pivot_envs.errors import ActionError, InfraError, SnapshotError
from pivot_envs.generator import generator_from, generator_state
from pivot_envs.snapshot import Fidelity, Message, Snapshot
from pivot_envs.spaces import UnicodeText
from pivot_envs.tools import ToolCall, ToolSpec, parse_action

__all__ = ["RESET_OPTIONS", "Effect", "PivotEnv", "ToolResult"]

RESET_OPTIONS = frozenset({"task_id", "snapshot"})


class PivotEnv(gym.Env[str, str], ABC):
    """An environment acted in by tool calls, saved by ``snapshot`` and resumed through ``reset``.

    Action: one tool call as JSON text, ``{"name": "edit", "arguments": {...}}``. Text that is no
    valid call never raises: it costs a turn and comes back as an observation, with the reason in
    ``info["action_error"]``. Observation: text.

    Episode end: ``terminated`` when the task is decided. ``truncated`` when ``max_turns`` are used
    up, or when the environment's own machinery failed, with the reason in
    ``info["infra_error"]``; such an episode has no meaningful reward and is masked in training.

    ``info`` always has ``task_id``, ``elapsed_turns``, ``is_success``, ``action_error`` and
    ``infra_error`` (the last two ``None`` or a text).

    A subclass sets ``tools`` and implements ``_begin``, ``_act``, ``_save``, ``_load``,
    ``_state_digest`` and ``_task_hash``; ``pivot_envs.testing.check_pivot_env`` tests it.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 2}  # noqa: RUF012
    tools: tuple[ToolSpec, ...] = ()
    fidelity: ClassVar[Fidelity] = "exact"

    def __init__(self, *, max_turns: int, render_mode: str | None = None) -> None:
        """Create the environment; nothing is started before ``reset``.

        Args:
            max_turns: Turns after which an episode is truncated, counted from its beginning, so
                that a resumed episode has ``max_turns`` minus the elapsed ones left.
            render_mode: One of ``metadata["render_modes"]`` or ``None``.

        Raises:
            ValueError: ``max_turns`` is below 1 or the render mode is unknown.
        """
        if max_turns < 1:
            raise ValueError(f"max_turns must be at least 1, got {max_turns}")
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            modes = self.metadata["render_modes"]
            raise ValueError(f"render_mode must be None or one of {modes}, got {render_mode!r}")
        self.max_turns = max_turns
        self.render_mode = render_mode
        self.observation_space = UnicodeText()
        self.action_space = UnicodeText()
        self._messages: list[Message] = []
        self._elapsed_turns = 0
        self._observation = ""
        self._task_id = ""
        self._facts: frozenset[str] = frozenset()
        self._terminated = False
        self._running = False

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation of this episode: the task, then actions and observations in turn."""
        return tuple(self._messages)

    @property
    def is_running(self) -> bool:
        """Whether an episode has begun and not ended."""
        return self._running

    @property
    def task_id(self) -> str:
        """The current task's id; empty before the first reset."""
        return self._task_id

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start a task, or resume a snapshot.

        Args:
            seed: Seeds the generator, which picks the task unless one is named.
            options: ``{"task_id": str}`` to name the task or ``{"snapshot": Snapshot}`` to resume.

        Returns:
            The first observation (or the one at which the snapshot was taken), and ``info``.

        Raises:
            ValueError: An option is unknown, or both options are given, or the task is unknown.
            SnapshotError: The snapshot is damaged or belongs elsewhere; the environment can still
                be reset.
            InfraError: The environment's machinery cannot be started.
        """
        super().reset(seed=seed)
        options = options or {}
        if set(options) - RESET_OPTIONS or len(options) > 1:
            raise ValueError(
                "options must be one of {'task_id': ...} or {'snapshot': ...}, "
                f"got the keys {sorted(map(str, options))}"
            )
        if "snapshot" in options:
            self._resume(options["snapshot"])
        else:
            self._running = False
            self._elapsed_turns = 0
            self._task_id, self._observation = self._begin(options.get("task_id"))
            self._messages = [Message("user", self._observation)]
        self._facts = frozenset()
        self._terminated = False
        self._running = True
        self._after_turn()
        return self._observation, self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Run one tool call.

        Args:
            action: A tool call as JSON text; any other text costs a turn and explains itself.

        Returns:
            observation, reward, terminated, truncated, info.

        Raises:
            gymnasium.error.ResetNeeded: The episode has not begun or is over.
        """
        if not self._running:
            raise gym.error.ResetNeeded("call reset() before step(): no episode is running")
        result, action_error, infra_error = self._run(action)
        self._elapsed_turns += 1
        # Tokenizers and files refuse lone surrogates, which tools may show.
        self._observation = result.observation.encode("utf-8", "replace").decode("utf-8")
        self._facts = result.facts
        self._terminated = result.terminated
        self._messages += [Message("assistant", action), Message("tool", self._observation)]
        out_of_turns = self._elapsed_turns >= self.max_turns and not result.terminated
        truncated = out_of_turns or infra_error is not None
        reward = result.reward
        if out_of_turns and infra_error is None:
            reward, infra_error = self._score_unfinished()
        self._running = not (result.terminated or truncated)
        self._after_turn()
        info = self._info(reward, action_error, infra_error)
        return self._observation, reward, result.terminated, truncated, info

    def snapshot(self) -> Snapshot:
        """Save the running episode; the episode goes on undisturbed.

        Raises:
            SnapshotError: No episode is running.
            UnsavableError: The agent's actions led to a state that no snapshot can hold.
            InfraError: The state could not be read.
        """
        if not self._running:
            raise SnapshotError("no episode is running: take snapshots between reset() and its end")
        state, blobs = self._save()
        return Snapshot.create(
            env_id=self._env_id(),
            env_kwargs=_as_json(self._snapshot_kwargs()),
            task_id=self._task_id,
            task_hash=self._task_hash(self._task_id),
            elapsed_turns=self._elapsed_turns,
            observation=self._observation,
            messages=self.messages,
            fidelity=self.fidelity,
            state={"env": state, "np_random": generator_state(self.np_random)},
            blobs=blobs,
        )

    def effect(self) -> Effect:
        """Return what the last action did; before the first action, the state alone.

        Raises:
            InfraError: The state could not be read.
        """
        return Effect(self._state_digest(), self._facts, self._terminated)

    def _run(self, action: str) -> tuple[ToolResult, str | None, str | None]:
        """Return what the action led to, the agent's error and the machinery's."""
        try:
            return self._act(parse_action(action, self.tools)), None, None
        except ActionError as error:
            text = f"error: {error}"
            return ToolResult(text, facts=frozenset({text})), str(error), None
        except InfraError as error:
            text = f"{type(error).__name__}: {error}"
            return ToolResult(f"infrastructure error: {error}"), None, text

    def _check_belongs(self, snapshot: Snapshot) -> None:
        if not isinstance(snapshot, Snapshot):
            raise SnapshotError(
                f"options['snapshot'] must be a Snapshot, got {type(snapshot).__name__}"
            )
        snapshot.verify()
        if snapshot.env_id != self._env_id():
            raise SnapshotError(
                f"the snapshot belongs to {snapshot.env_id}, this environment is {self._env_id()}"
            )
        own_kwargs = _as_json(self._snapshot_kwargs())
        if snapshot.env_kwargs != own_kwargs:
            raise SnapshotError(
                f"the snapshot was taken in an environment made with {snapshot.env_kwargs}, "
                f"this one was made with {own_kwargs}; make it with the same arguments"
            )
        if not 0 <= snapshot.elapsed_turns < self.max_turns:
            raise SnapshotError(
                f"the snapshot was taken after {snapshot.elapsed_turns} turns and max_turns is "
                f"{self.max_turns}: no turn would be left"
            )
        if self._task_hash(snapshot.task_id) != snapshot.task_hash:
            raise SnapshotError(
                f"task {snapshot.task_id!r} has changed since the snapshot was taken, or is "
                "another task of the same name; use the task file that the snapshot was made with"
            )

    def _resume(self, snapshot: Snapshot) -> None:
        self._check_belongs(snapshot)
        self._running = False
        try:
            self._load(snapshot.task_id, snapshot.state["env"], snapshot.blobs)
            self.np_random = generator_from(snapshot.state["np_random"])
        except SnapshotError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(
                f"the snapshot's state is damaged, or more than this environment holds: {error!r}"
            ) from error
        self._task_id = snapshot.task_id
        self._elapsed_turns = snapshot.elapsed_turns
        self._observation = snapshot.observation
        self._messages = list(snapshot.messages)

    def _info(
        self,
        reward: float = 0.0,
        action_error: str | None = None,
        infra_error: str | None = None,
    ) -> dict[str, Any]:
        return {
            "task_id": self._task_id,
            "elapsed_turns": self._elapsed_turns,
            "is_success": bool(reward >= 1.0),
            "action_error": action_error,
            "infra_error": infra_error,
        }

    def _env_id(self) -> str:
        return self.spec.id if self.spec is not None else type(self).__name__

    def _snapshot_kwargs(self) -> Mapping[str, Any]:
        """Return the JSON-able constructor arguments that decide what a state means."""
        return {}

    def _after_turn(self) -> None:
        """Hear of every new observation, for instance to draw it; does nothing by default."""

    def _score_unfinished(self) -> tuple[float, str | None]:
        """Return reward and infra error of an episode that ran out of turns; 0 by default."""
        return 0.0, None

    @abstractmethod
    def _begin(self, task_id: str | None) -> tuple[str, str]:
        """Start a task (drawn with ``np_random`` if ``None``); return its id and observation."""

    @abstractmethod
    def _act(self, call: ToolCall) -> ToolResult:
        """Run a checked tool call. ActionError goes to the agent, InfraError ends the episode."""

    @abstractmethod
    def _save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        """Return the state as JSON-able data and the blobs it names by SHA-256."""

    @abstractmethod
    def _load(self, task_id: str, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> None:
        """Bring back what ``_save`` returned and verify it; raise SnapshotError otherwise."""

    @abstractmethod
    def _state_digest(self) -> str:
        """Return a digest of the state that an action can change."""

    @abstractmethod
    def _task_hash(self, task_id: str) -> str:
        """Return the SHA-256 of a task; raise SnapshotError if the task is unknown."""


def _as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(value)))
