"""Labels: what an action is worth, found by executing it and whatever could follow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from wrappers import Attempt, Pivot, PivotResetWrapper, Verifier
from wrappers.pivot_reward import make_attempt

SUBMIT = ToolCall("submit", {}).as_text()


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


class _Observer(gym.Wrapper[str, str, str, str]):
    """Shows the first action after a pivot to every verifier; rewards stay those of the task."""

    def __init__(
        self, env: gym.Env[str, str], verifiers: Mapping[str, Verifier], seen: "_Verdicts"
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
        result = self.env.step(action)
        pivot, before = self.env.get_wrapper_attr("pivot"), self._before
        if before is not None and result[4]["infra_error"] is None:
            attempt = make_attempt(self._core, action, result[4], before)
            self._seen.judge(pivot, attempt, self._verifiers)
        self._before = None
        return result


@dataclass(slots=True)
class _Verdicts:
    """Verdicts on the first action of each state and text."""

    found: dict[tuple[str, str], dict[str, float | None]] = field(default_factory=dict)

    def judge(self, pivot: Pivot, attempt: Attempt, verifiers: Mapping[str, Verifier]) -> None:
        verdicts = {name: verifier(pivot, attempt) for name, verifier in verifiers.items()}
        self.found[pivot.pivot_id, attempt.action] = verdicts


def label_actions(
    states: Sequence[State],
    make_env: Callable[[], gym.Env[str, str]],
    verifiers: Mapping[str, Verifier],
    *,
    pool_size: int = 8,
    on_turn: Callable[[int], None] | None = None,
) -> list[LabelledAction]:
    """Execute every action of every state, and what could follow it, and judge it.

    After the action, the task is handed in; where that fails it is repaired first, if the buggy
    line has been shown, or else looked at and repaired. What was not shown cannot be repaired. The
    way that solves the task counts, and the same is done without the action.

    Args:
        states: With distinct pivot ids, in the order of their turns.
        make_env: Makes one environment over their tasks.
        verifiers: What judges, by name.
        pool_size: Environments side by side.
        on_turn: Called with the number of turns after each round, for a progress bar.

    Returns:
        The actions of those states in which the demonstrated action is good: elsewhere the
        demonstration made a detour, and a verifier that follows it cannot be blamed. Actions that
        the machinery lost are left out.
    """
    pivots = [state.pivot for state in states]
    verdicts = _Verdicts()

    def make() -> gym.Env[str, str]:
        return _Observer(PivotResetWrapper(make_env(), pivots), verifiers, verdicts)

    with EnvPool(make, pool_size) as pool:
        trials = [_Trial(state, action) for state in states for action in (None, *state.actions)]
        for way in (1, 2, 3):
            _go(pool, [one for one in trials if one.is_open(way)], way, on_turn)
    before = {one.state.pivot.pivot_id: one.turns for one in trials if one.action is None}
    labelled = [
        _label(one, before[one.state.pivot.pivot_id], verdicts)
        for one in trials
        if one.action is not None and one.is_known
    ]
    followed = {
        one.state.pivot.pivot_id
        for one in labelled
        if one.is_good and one.action.text == one.state.pivot.demonstration
    }
    return [one for one in labelled if one.state.pivot.pivot_id in followed]


@dataclass(slots=True)
class _Trial:
    """One action of one state, or none, and the ways of going on that were tried."""

    state: State
    action: Action | None
    turns: int | None = None
    """Turns after the action until the task is solved."""
    is_known: bool = False
    """Whether the machinery held at least once."""
    ended: bool = False
    shown: bool = False
    """Whether the agent has seen the buggy line."""

    def is_open(self, way: int) -> bool:
        """Tell whether to try a way, after those before it failed."""
        if self.turns is not None or self.ended:
            return False
        return way == 1 or (way == 2) == self.shown

    def plan(self, way: int) -> list[str]:
        """Return the actions of a way: the first, then the last ``way`` of three."""
        repair = self.state.repair
        after = [repair.view().as_text(), repair.edit(repair.right).as_text(), SUBMIT][-way:]
        return after if self.action is None else [self.action.text, *after]

    def learn(self, episode: Trajectory) -> None:
        """Take in how a way ended."""
        if not episode.is_scored:
            return
        self.is_known = True
        first = episode.transitions[0]
        texts = [message.content for message in self.state.pivot.snapshot.messages]
        if self.action is not None:
            self.ended = first.terminated
            texts.append(first.next_observation)
        self.shown = any(self.state.repair.buggy.strip() in text for text in texts)
        if episode.is_success:
            self.turns = len(episode.transitions) - (self.action is not None)


def _go(
    pool: EnvPool,
    trials: Sequence[_Trial],
    way: int,
    on_turn: Callable[[int], None] | None,
) -> None:
    """Run all trials one way, one of each state at a time: the conversation tells which it is."""
    left = list(trials)
    while left:
        batch = {trial.state.pivot.pivot_id: trial for trial in reversed(left)}
        left = [trial for trial in left if trial is not batch[trial.state.pivot.pivot_id]]
        for begins in (True, False):
            chosen = [one for one in batch.values() if (one.action is None) == begins]
            if chosen:
                _run(pool, chosen, way, on_turn)


def _run(
    pool: EnvPool,
    trials: Sequence[_Trial],
    way: int,
    on_turn: Callable[[int], None] | None,
) -> None:
    horizon = len(trials[0].plan(way))
    by_start = {trial.state.pivot.snapshot.messages: trial for trial in trials}

    def act(context: Context) -> str:
        turn = horizon - (context.turns_left or 0)
        start = context.messages[: len(context.messages) - 2 * turn]
        return by_start[start].plan(way)[turn]

    starts = [Start(options={"pivot_id": trial.state.pivot.pivot_id}) for trial in trials]
    episodes = rollout(pool, ScriptedPolicy(act), starts, horizon=horizon, on_turn=on_turn)
    for trial, episode in zip(trials, episodes, strict=True):
        trial.learn(episode)


def _label(trial: _Trial, before: int | None, verdicts: _Verdicts) -> LabelledAction:
    assert trial.action is not None
    sooner = trial.turns is not None and before is not None and trial.turns < before
    key = trial.state.pivot.pivot_id, trial.action.text
    return LabelledAction(
        trial.state, trial.action, sooner, trial.turns is not None, verdicts.found[key]
    )
