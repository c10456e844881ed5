"""Labels: what an action is worth, found by executing it and whatever could follow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

import gymnasium as gym

from pivot_agents.audit.actions import Action
from pivot_agents.audit.repair import Repair
from pivot_agents.policy import Context, ScriptedPolicy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_envs.core import PivotEnv
from pivot_envs.tools import ToolCall
from pivot_envs.trajectory import Trajectory
from wrappers import Pivot, PivotResetWrapper, ProgressReward, Verifier
from wrappers.pivot_reward import make_attempt

SUBMIT = ToolCall("submit", {}).as_text()
PROGRESS = "progress"
"""The name of ``ProgressReward`` beside the verifiers."""


@dataclass(frozen=True, slots=True)
class State:
    """One state of the audit."""

    pivot: Pivot
    repair: Repair
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class LabelledAction:
    """One executed action, what it is worth, and what each verifier says."""

    state: State
    action: Action
    is_good: bool
    """Whether the task can be solved one turn sooner after it than before."""
    is_harmless: bool
    """Whether the task can be solved at all after it."""
    verdicts: Mapping[str, float | None]
    """By name of the verifier; ``None`` is undecided."""


def label_actions(
    states: Sequence[State],
    make_env: Callable[[], gym.Env[str, str]],
    verifiers: Mapping[str, Verifier],
    *,
    pool_size: int = 8,
    on_turn: Callable[[int], None] | None = None,
) -> list[LabelledAction]:
    """Execute every action of every state, and what could follow it, and judge it.

    From the state that an action leads to, the task is handed in, and where that fails it is
    repaired and handed in. Equal states of a task are gone on from once. A repair needs the buggy
    line to have been shown, and costs a turn more where it was not: what an agent has not seen it
    cannot repair.

    Args:
        states: With distinct pivot ids. Where ``Pivot.rest`` is known, progress is judged, too.
        make_env: Makes one environment over their tasks.
        verifiers: What judges, by name; ``PROGRESS`` is none of them.
        pool_size: Environments side by side.
        on_turn: Called with the number of turns after each round, for a progress bar.

    Returns:
        The actions of those states in which the demonstrated action is good: elsewhere the
        demonstration made a detour, and a verifier that follows it cannot be blamed. Actions that
        the machinery lost are left out.
    """
    pivots = [state.pivot for state in states]
    seen: dict[_Key, _Seen] = {}

    def make() -> gym.Env[str, str]:
        return _Observer(PivotResetWrapper(make_env(), pivots), verifiers, seen)

    def make_progress() -> gym.Env[str, str]:
        return ProgressReward(PivotResetWrapper(make_env(), pivots))

    tries = [(state, action) for state in states for action in state.actions]
    with EnvPool(make, pool_size) as pool:
        _run(pool, tries, [], on_turn)
        done = [(state, action) for state, action in tries if _key(state, action) in seen]
        ways, lost = _ways(pool, done, seen, on_turn)
    done = [one for one in done if not _places(*one, seen) & lost]
    with EnvPool(make_progress, pool_size) as pool:
        judged = _run(pool, done, [], on_turn)
    labelled = [
        _label(state, action, seen, ways, _progress(episode))
        for (state, action), episode in zip(done, judged, strict=True)
        if episode.infra_error is None
    ]
    followed = {
        one.state.pivot.pivot_id
        for one in labelled
        if one.is_good and one.action.text == one.state.pivot.demonstration
    }
    return [one for one in labelled if one.state.pivot.pivot_id in followed]


_Key = tuple[str, str]
"""A pivot id and an action text."""
_Place = tuple[str, str]
"""A task id and the digest of a state."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What an action did."""

    verdicts: Mapping[str, float | None]
    before: str
    """Digest of the state before it."""
    after: str
    observation: str
    terminated: bool
    is_success: bool


class _Observer(gym.Wrapper[str, str, str, str]):
    """Shows the first action after a pivot to every verifier; rewards stay those of the task."""

    def __init__(
        self,
        env: gym.Env[str, str],
        verifiers: Mapping[str, Verifier],
        seen: dict[_Key, _Seen],
    ) -> None:
        super().__init__(env)
        assert isinstance(env.unwrapped, PivotEnv)
        self._core, self._verifiers, self._seen = env.unwrapped, verifiers, seen
        self._before: str | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        result = self.env.reset(seed=seed, options=options)
        self._before = self._core.effect().state_digest
        return result

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        pivot, before = self.env.get_wrapper_attr("pivot"), self._before
        if before is not None and info["infra_error"] is None:
            attempt = make_attempt(self._core, action, info, before)
            self._seen[pivot.pivot_id, action] = _Seen(
                verdicts={name: judge(pivot, attempt) for name, judge in self._verifiers.items()},
                before=before,
                after=attempt.effect.state_digest,
                observation=observation,
                terminated=terminated,
                is_success=info["is_success"],
            )
        self._before = None
        return observation, reward, terminated, truncated, info


def _key(state: State, action: Action) -> _Key:
    return state.pivot.pivot_id, action.text


def _ways(
    pool: EnvPool,
    done: Sequence[tuple[State, Action]],
    seen: Mapping[_Key, _Seen],
    on_turn: Callable[[int], None] | None,
) -> tuple[dict[_Place, int], set[_Place]]:
    """Return how many turns solve each task from each of its states, the buggy line being known.

    1: handing in, 2: repairing and handing in. States that cannot be solved so are left out; those
    of which the machinery did not let it be found out are returned beside it.
    """
    there: dict[_Place, tuple[State, Action]] = {}
    for state, action in done:
        one = seen[_key(state, action)]
        if not one.terminated:
            there.setdefault((state.pivot.snapshot.task_id, one.after), (state, action))
    ways: dict[_Place, int] = {}
    lost: set[_Place] = set()
    for turns in (1, 2):
        left = [place for place in there if place not in ways]
        plans = [there[place] for place in left]
        episodes = _run(pool, plans, ["repair", "submit"][-turns:], on_turn)
        for place, episode in zip(left, episodes, strict=True):
            if episode.infra_error is not None:
                lost.add(place)
            elif episode.is_scored and episode.is_success:
                ways[place] = turns
    return ways, lost


def _places(state: State, action: Action, seen: Mapping[_Key, _Seen]) -> set[_Place]:
    """Return where an action began and where it led."""
    one, task = seen[_key(state, action)], state.pivot.snapshot.task_id
    return {(task, one.before), (task, one.after)}


def _run(
    pool: EnvPool,
    tries: Sequence[tuple[State, Action]],
    then: Sequence[str],
    on_turn: Callable[[int], None] | None,
) -> list[Trajectory]:
    """Execute actions and what comes then; returns the episodes in order."""
    episodes: dict[_Key, Trajectory] = {}
    left = list(tries)
    while left:
        # One action of each state at a time: the conversation tells which state it is.
        batch = {state.pivot.snapshot.messages: (state, action) for state, action in left[::-1]}
        chosen = list(batch.values())
        left = [one for one in left if batch[one[0].pivot.snapshot.messages] != one]

        def act(context: Context, batch: Any = batch) -> str:
            turn = len(then) + 1 - (context.turns_left or 0)
            state, action = batch[context.messages[: len(context.messages) - 2 * turn]]
            repair = state.repair.edit(state.repair.right).as_text()
            plan: list[str] = [
                action.text,
                *(repair if one == "repair" else SUBMIT for one in then),
            ]
            return plan[turn]

        starts = [Start(options={"pivot_id": state.pivot.pivot_id}) for state, _ in chosen]
        found = rollout(pool, ScriptedPolicy(act), starts, horizon=len(then) + 1, on_turn=on_turn)
        for one, episode in zip(chosen, found, strict=True):
            episodes[_key(*one)] = episode
    return [episodes[_key(*one)] for one in tries]


def _progress(episode: Trajectory) -> float | None:
    return episode.return_ if episode.is_scored else None


def _label(
    state: State,
    action: Action,
    seen: Mapping[_Key, _Seen],
    ways: Mapping[_Place, int],
    progress: float | None,
) -> LabelledAction:
    one, task = seen[_key(state, action)], state.pivot.snapshot.task_id
    known = [message.content for message in state.pivot.snapshot.messages]
    before = _turns(ways.get((task, one.before)), known, state.repair)
    after = _turns(ways.get((task, one.after)), [*known, one.observation], state.repair)
    if one.terminated:
        after = 0 if one.is_success else None
    sooner = after is not None and before is not None and after < before
    verdicts = {**one.verdicts, PROGRESS: progress}
    return LabelledAction(state, action, sooner, after is not None, verdicts)


def _turns(way: int | None, texts: Sequence[str], repair: Repair) -> int | None:
    """Return the turns to the solution, with one more to look at the line before repairing it."""
    if way != 2 or any(repair.buggy.strip() in text for text in texts):
        return way
    return 3
