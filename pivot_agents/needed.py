"""Needed actions: which of a demonstration's actions its success depends on, found by execution."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pivot_agents.env_host import Outcome
from pivot_agents.pool import EnvPool, Start
from pivot_agents.profiling import extract_candidates
from pivot_envs.errors import InfraError
from pivot_envs.trajectory import Trajectory
from wrappers import Pivot

_TRIES = 3
"""How often an episode is executed before a failure of the machinery counts."""


@dataclass(slots=True)
class _Trial:
    """An episode of given actions."""

    start: Start
    actions: list[str]
    is_success: bool = False
    is_over: bool = False
    failure: str | None = None
    """The machinery's."""

    def note(self, outcome: Outcome) -> None:
        """Keep how far the episode came."""
        self.is_over = outcome.is_over
        self.is_success = outcome.terminated and bool(outcome.info["is_success"])
        self.failure = outcome.info["infra_error"]


def needed_candidates(
    trajectories: Sequence[Trajectory],
    pool: EnvPool,
    *,
    on_episode: Callable[[int], None] | None = None,
) -> list[Pivot]:
    """Return the states before needed actions, with what is needed from there on.

    What only looked around, was undone later, or did nothing, is not needed, and its state is left
    out: an action that is compared with it would be paid for a detour.

    Args:
        trajectories: Demonstrations, recorded with snapshots; those that failed are left out.
        pool: Environments like the demonstrations' own, unwrapped but for ``RememberedSteps``.
        on_episode: Called with the number of episodes after each round, for a progress bar.

    Raises:
        InfraError: The machinery failed three times in the same episode.

    Returns:
        Candidates as ``extract_candidates`` returns them, with ``Pivot.rest``.
    """
    needed = find_needed(trajectories, pool, on_episode=on_episode)
    actions = {
        one.trajectory_id: {turn: one.transitions[turn].action for turn in turns}
        for one, turns in zip(trajectories, needed, strict=True)
    }
    candidates = []
    for candidate in extract_candidates(trajectories):
        turns = actions[candidate.trajectory_id]
        if candidate.turn in turns:
            rest = tuple(action for turn, action in turns.items() if turn >= candidate.turn)
            candidates.append(replace(candidate, rest=rest))
    return candidates


def find_needed(
    trajectories: Sequence[Trajectory],
    pool: EnvPool,
    *,
    on_episode: Callable[[int], None] | None = None,
) -> list[tuple[int, ...]]:
    """Return the turns of each trajectory that its success needs, in order.

    One action after the other is left out, from the last but one to the first; where the others
    still succeed without it, it stays out. No model is called. A trajectory that failed, or that
    does not succeed again, needs nothing.

    Args:
        trajectories: What to look into.
        pool: Environments of the same tasks that pay the outcome.
        on_episode: Called with the number of episodes after each round.

    Raises:
        InfraError: The machinery failed three times in the same episode, of which nothing can be
            said then.
    """
    kept = [list(range(len(one.transitions))) if one.is_success else [] for one in trajectories]
    longest = max((len(turns) for turns in kept), default=0)
    # The first round leaves nothing out: what cannot be repeated says nothing.
    for back in range(longest):
        trials: dict[int, _Trial] = {}
        for number, turns in enumerate(kept):
            left_out = len(trajectories[number].transitions) - 1 - back
            if turns and left_out >= 0:
                tried = turns if back == 0 else [turn for turn in turns if turn != left_out]
                trials[number] = _trial(trajectories[number], tried)
        _execute(pool, list(trials.values()))
        for number, trial in trials.items():
            if back == 0 and not trial.is_success:
                kept[number] = []
            elif back > 0 and trial.is_success:
                kept[number].remove(len(trajectories[number].transitions) - 1 - back)
        if on_episode is not None:
            on_episode(len(trials))
    return [tuple(turns) for turns in kept]


def _trial(trajectory: Trajectory, turns: Sequence[int]) -> _Trial:
    start = Start(trajectory.seed, {"task_id": trajectory.task_id})
    return _Trial(start, [trajectory.transitions[turn].action for turn in turns])


def _execute(pool: EnvPool, trials: Sequence[_Trial]) -> None:
    """Run the trials; what the machinery lost is tried again."""
    left = list(trials)
    for _ in range(_TRIES):
        _execute_once(pool, left)
        left = [one for one in left if one.failure is not None]
    if left:
        raise InfraError(
            f"demonstrated actions could not be executed in {_TRIES} tries: {left[0].failure}"
        )


def _execute_once(pool: EnvPool, trials: Sequence[_Trial]) -> None:
    """Run the trials, as many side by side as there are slots."""
    for at in range(0, len(trials), pool.size):
        running = dict(enumerate(trials[at : at + pool.size]))
        for slot, outcome in pool.reset({slot: one.start for slot, one in running.items()}).items():
            running[slot].note(outcome)
        for turn in range(max(len(one.actions) for one in running.values())):
            actions = {
                slot: one.actions[turn]
                for slot, one in running.items()
                if turn < len(one.actions) and not one.is_over
            }
            for slot, outcome in pool.step(actions).items():
                running[slot].note(outcome)
