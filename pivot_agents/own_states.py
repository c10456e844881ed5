"""Own states: pivots from the policy's own failed episodes, where success was last possible.

Demonstrations never visit the states that a policy's mistakes lead to. The states before an episode
was lost are found by restoring them and trying again.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pivot_agents.accounting import TurnCounter
from pivot_agents.policy import Policy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_envs.trajectory import Trajectory, Transition
from wrappers import Pivot


@dataclass(slots=True)
class LastPossible:
    """The search for the last of an episode's states from which success is possible.

    ``state`` names the state to try next, ``tell`` takes the answer, until ``is_done``. Where
    success once lost stays lost, ``monotone`` bisects: that takes at most log2(length) + 1 tries
    of a state instead of one for each state from the end.
    """

    length: int
    """Number of states; that after the last action is known to be lost."""
    monotone: bool = True
    found: int | None = None
    """The last state so far from which success was possible."""
    _lost: int = -1

    def __post_init__(self) -> None:
        self._lost = self.length

    @property
    def is_done(self) -> bool:
        """Whether ``found`` is the answer; ``None`` if success was possible nowhere."""
        if not self.monotone and self.found is not None:
            return True
        return self._lost - (-1 if self.found is None else self.found) <= 1

    @property
    def state(self) -> int:
        """The state to try next."""
        if not self.monotone:
            return self._lost - 1
        return (self._lost + (-1 if self.found is None else self.found)) // 2

    def tell(self, is_possible: bool) -> None:
        """Take the answer for ``state``."""
        if is_possible:
            self.found = self.state
        else:
            self._lost = self.state


def find_own_states(
    pool: EnvPool,
    policy: Policy,
    starts: Sequence[Start],
    *,
    tries: int = 4,
    monotone: bool = True,
    counter: TurnCounter | None = None,
    on_turn: Callable[[int], None] | None = None,
) -> list[Pivot]:
    """Run the policy, and return the last hopeful state of each episode that failed.

    A state is hopeful if one of ``tries`` new attempts from it succeeds. That attempt's first
    action is the pivot's demonstration: what the policy itself did when it went well.

    Args:
        pool: Environments that pay the outcome, without a reward wrapper.
        policy: The policy that will be trained, sampling as it will then.
        starts: How the episodes begin.
        tries: New attempts from each state that is tried.
        monotone: Whether success once lost stays lost; then the search bisects.
        counter: Counts every turn, those of the episodes too, as profiling.
        on_turn: Called with the number of turns after each round, for a progress bar.

    Returns:
        Pivots without profiles, in the order of their episodes. An episode gives none if it
        succeeded, was lost to the machinery, or was hopeful nowhere.
    """
    counter = counter or TurnCounter()
    episodes = rollout(
        pool,
        policy,
        starts,
        purpose="profile",
        counter=counter,
        record_snapshots=True,
        on_turn=on_turn,
    )
    failed = [one for one in episodes if one.is_scored and not one.is_success and _is_whole(one)]

    def try_from(states: Sequence[Transition]) -> list[Trajectory]:
        begun = [Start(options={"snapshot": state.snapshot}) for state in states]
        return rollout(
            pool,
            policy,
            [start for start in begun for _ in range(tries)],
            purpose="profile",
            counter=counter,
            record_snapshots=True,
            on_turn=on_turn,
        )

    return _search(failed, try_from, tries, monotone)


def _search(
    failed: Sequence[Trajectory],
    try_from: Callable[[Sequence[Transition]], list[Trajectory]],
    tries: int,
    monotone: bool,
) -> list[Pivot]:
    """Search all episodes at once, and return the pivots that were found."""
    searches = [LastPossible(len(one.transitions), monotone) for one in failed]
    attempts: dict[int, Trajectory] = {}
    while running := [number for number, one in enumerate(searches) if not one.is_done]:
        tried = try_from([failed[number].transitions[searches[number].state] for number in running])
        for at, number in enumerate(running):
            good = next(filter(_is_demonstration, tried[at * tries : (at + 1) * tries]), None)
            if good is not None:
                attempts[number] = good
            searches[number].tell(good is not None)
    found = [search.found for search in searches]
    return [
        _pivot(episode, turn, attempts[number])
        for number, (episode, turn) in enumerate(zip(failed, found, strict=True))
        if turn is not None
    ]


def _is_whole(episode: Trajectory) -> bool:
    return all(transition.snapshot is not None for transition in episode.transitions)


def _is_demonstration(attempt: Trajectory) -> bool:
    """Tell whether an attempt succeeded and began with a call whose effect can be followed."""
    first = attempt.transitions[0]
    is_call = first.info["action_error"] is None and first.effect is not None
    return attempt.is_scored and attempt.is_success and is_call


def _pivot(episode: Trajectory, turn: int, attempt: Trajectory) -> Pivot:
    first = attempt.transitions[0]
    snapshot = episode.transitions[turn].snapshot
    assert snapshot is not None
    assert first.effect is not None
    return Pivot(
        pivot_id=f"{episode.trajectory_id}@{turn}",
        trajectory_id=episode.trajectory_id,
        turn=turn,
        snapshot=snapshot,
        demonstration=first.action,
        effect=first.effect,
        tool=json.loads(first.action)["name"],
    )
