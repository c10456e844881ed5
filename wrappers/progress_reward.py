"""ProgressReward, which rewards an action after which less of the demonstration is needed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from pivot_envs.core import Effect, PivotEnv
from pivot_envs.errors import ActionError, InfraError, SnapshotError, UnsavableError
from pivot_envs.snapshot import Message, Snapshot, sha256
from pivot_envs.tools import ToolCall, parse_action
from pivot_envs.trajectory import REACHED
from wrappers.pivot import Pivot
from wrappers.pivot_reset import core_below


@dataclass(frozen=True, slots=True)
class _End:
    """What actions led to."""

    is_success: bool = False
    failure: str | None = None
    """The machinery's."""
    effect: Effect | None = None
    """What the first of the actions did, if the reached states are kept."""


class ProgressReward(gym.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Reward one action at a pivot by what is left to do after it; the episode ends with it.

    The reward is 1.0 if the action solved the task, or if the actions that the demonstration needs
    from the pivot on (``Pivot.rest``) solve it with one of them left out: the one that was taken
    earlier than in the demonstration, else the demonstrated one, in whose place it was taken. They
    are executed after it. So another order, another way to do the same, and skipping a detour are
    paid; detours, idling, and what has to be undone are not.

    An episode that does not start at a pivot keeps its rewards. A pivot whose rest is not known
    leaves every action undecided (``info["undecided"]``). Where the machinery fails,
    ``info["infra_error"]`` says so, and the reward is 0.0 and to be masked.

    With ``keeps_reached``, ``info["reached"]`` is the state after the action as a pivot, its rest
    included, if the task can still be solved from there by what the demonstration needs: after an
    action that was paid, and after a detour. It is ``None`` otherwise. Only the beginning of such
    a rest is known to be needed; where a detour did the work of a later part in another way, that
    part is still in it. A state that cannot be saved or restored is not kept. Pivots are left out
    of files of trajectories.
    """

    def __init__(self, env: gym.Env[str, str], *, keeps_reached: bool = False) -> None:
        """Wrap an environment.

        Args:
            env: An environment with a PivotResetWrapper inside and a PivotEnv at its core.
            keeps_reached: Also save the state after the action. What is left to do is executed
                from there again, at least once and at most once for each of its actions.

        Raises:
            ValueError: One of the two is missing inside ``env``.
        """
        RecordConstructorArgs.__init__(self, keeps_reached=keeps_reached)
        gym.Wrapper.__init__(self, env)
        self._core = core_below(type(self).__name__, env)
        self._keeps_reached = keeps_reached
        self._messages: tuple[Message, ...] | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation of this episode, without what was executed to judge it."""
        return self._core.messages if self._messages is None else self._messages

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Reset the environment."""
        self._messages = None
        return self.env.reset(seed=seed, options=options)

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take the action, execute what is left to do after it, and end the episode.

        Raises:
            gymnasium.error.ResetNeeded: The episode is over.
        """
        pivot: Pivot | None = self.env.get_wrapper_attr("pivot")
        if pivot is None:
            return self.env.step(action)
        if self._messages is not None:
            raise gym.error.ResetNeeded("call reset() before step(): one action was judged")
        observation, _, terminated, truncated, info = self.env.step(action)
        self._messages = self._core.messages
        is_paid, reached = terminated and bool(info["is_success"]), None
        if not (terminated or truncated) and pivot.rest:
            here, is_call = self._saved(), info["action_error"] is None
            left = _left_to_do(self._core, pivot.rest, action) if is_call else ()
            end = self._finish(left)
            is_paid, failure = end.is_success, end.failure
            if here is not None and failure is None:
                reached, failure = self._reached(
                    pivot, action, here, left if is_paid else pivot.rest
                )
                is_paid = is_paid and failure is None
            info = {**info, "infra_error": failure}
        info = {**info, "is_success": is_paid, "undecided": not pivot.rest}
        if self._keeps_reached:
            info[REACHED] = reached
        return observation, float(is_paid), terminated, not terminated, info

    def _saved(self) -> Snapshot | None:
        """Return the present state, if it is to be kept and can be."""
        if not self._keeps_reached:
            return None
        try:
            return self._core.snapshot()
        except (UnsavableError, InfraError):
            return None  # the action is judged all the same

    def _reached(
        self, pivot: Pivot, action: str, here: Snapshot, left: Sequence[str]
    ) -> tuple[Pivot | None, str | None]:
        """Return a state as a pivot, and the machinery's failure.

        Args:
            pivot: Where the action was taken.
            action: What led to the state.
            here: The state.
            left: What may solve the task from there. It is tried from the restored state even
                where it has just done so: a state that does not come back is no start.
        """
        end = self._finish_from(here, left)
        # An action that did the work of two leaves less to do, and idling must not be paid there.
        while end.is_success and len(left) > 1:
            shorter = self._finish_from(here, left[1:])
            if shorter.failure is not None:
                return None, shorter.failure
            if not shorter.is_success:
                break
            left, end = left[1:], shorter
        if not end.is_success or end.effect is None:
            return None, end.failure
        path = sha256(f"{pivot.pivot_id}\n{action}".encode("utf-8", "replace"))
        return Pivot(
            pivot_id=f"{here.task_id}>{path[:16]}",
            trajectory_id=pivot.trajectory_id,
            turn=here.elapsed_turns,
            snapshot=here,
            demonstration=left[0],
            effect=end.effect,
            tool=json.loads(left[0])["name"],
            rest=tuple(left),
        ), None

    def _finish_from(self, here: Snapshot, actions: Sequence[str]) -> _End:
        """Restore a state and execute the actions there; what does not come back solves nothing."""
        try:
            self._core.reset(options={"snapshot": here})
        except SnapshotError:
            return _End()
        except InfraError as error:
            return _End(failure=f"{type(error).__name__}: {error}")
        return self._finish(actions)

    def _finish(self, actions: Sequence[str]) -> _End:
        """Execute the actions; return what they led to."""
        effect = None
        for number, action in enumerate(actions):
            _, _, terminated, truncated, info = self.env.step(action)
            if info["infra_error"] is not None:
                return _End(failure=str(info["infra_error"]))
            if number == 0 and self._keeps_reached:
                try:
                    effect = self._core.effect()
                except InfraError as error:
                    return _End(failure=f"{type(error).__name__}: {error}")
            if terminated or truncated:
                return _End(terminated and bool(info["is_success"]), effect=effect)
        return _End()


def _left_to_do(core: PivotEnv, rest: Sequence[str], action: str) -> tuple[str, ...]:
    """Return the needed actions without the one that ``action`` is, else without the first."""
    call = parse_action(action, core.tools)
    same = [number for number, other in enumerate(rest) if _call(core, other) == call]
    done = same[0] if same else 0
    return (*rest[:done], *rest[done + 1 :])


def _call(core: PivotEnv, action: str) -> ToolCall | None:
    try:
        return parse_action(action, core.tools)
    except ActionError:
        return None
