"""Outcomes: what an action at a pivot is worth, by letting the policy go on to the end.

The worth of an action is Q(s, a), the expected return of the policy after it, estimated by the
mean of continuations (Monte Carlo, as in VinePPO, arXiv:2410.01679). No demonstration is asked: an
action that the demonstrator would not have taken is paid if it leads to success.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pivot_agents.accounting import Purpose, TurnCounter
from pivot_agents.policy import Policy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_envs.trajectory import Trajectory
from wrappers import Pivot, Profile


@dataclass(frozen=True, slots=True)
class OutcomeRollOut:
    """Rolls out single actions whose reward is the mean return of their continuations.

    Every episode goes on from its first action to the end, and ``continuations - 1`` more go on
    from the restored state after that action. Continuations of the same action at the same start
    are taken together. Where the returns of a start differ by luck alone (their between-action
    variance is 0), all its actions are worth the same and get the mean.

    The environments of the pool must pay the outcome: ``PivotResetWrapper(env, pivots)`` and no
    reward wrapper.
    """

    continuations: int = 2
    """Continuations of each sampled action, at least 2, or luck could not be told from worth."""

    def __post_init__(self) -> None:
        if self.continuations < 2:
            raise ValueError(
                "continuations must be at least 2, or luck cannot be told from worth, got "
                f"{self.continuations}"
            )

    def __call__(
        self,
        pool: EnvPool,
        policy: Policy,
        starts: Sequence[Start],
        *,
        horizon: int | None = None,
        purpose: Purpose = "train",
        counter: TurnCounter | None = None,
    ) -> list[Trajectory]:
        """Return episodes of one turn with the worth of its action as reward, in order.

        Args:
            pool: Environments that pay the outcome.
            policy: Acts, and goes on.
            starts: Equal ones are one group.
            horizon: Most turns until the end, the first action included.
            purpose: What all turns are counted under.
            counter: Counts them.
        """
        episodes = rollout(
            pool,
            policy,
            starts,
            horizon=horizon,
            purpose=purpose,
            counter=counter,
            record_snapshots=True,
        )
        returns = [[one.return_] if one.is_scored else [] for one in episodes]
        going_on = []
        for number, episode in enumerate(episodes):
            if episode.is_scored and _can_go_on(episode):
                going_on.append(number)
            else:
                # The action ended the episode: trying it again would give the same.
                returns[number] *= self.continuations
        begun = [
            _going_on(starts[number], episodes[number], copy)
            for number in going_on
            for copy in range(1, self.continuations)
        ]
        left = None if horizon is None else horizon - 1
        more = rollout(pool, policy, begun, horizon=left, purpose=purpose, counter=counter)
        for at, continued in enumerate(more):
            number = going_on[at // (self.continuations - 1)]
            if continued.is_scored:
                first = episodes[number].transitions[0].reward
                returns[number].append(first + continued.return_)
        worths = _worths(starts, episodes, returns)
        return [_first_turn(*pair) for pair in zip(episodes, worths, strict=True)]


def profile_outcomes(
    candidates: Sequence[Pivot],
    pool: EnvPool,
    policy: Policy,
    *,
    samples_per_state: int = 8,
    continuations: int = 2,
    counter: TurnCounter | None = None,
) -> list[Pivot]:
    """Profile states by the outcomes of the policy's own actions.

    Args:
        candidates: The states, with distinct ids.
        pool: Environments ``PivotResetWrapper(env, candidates)``, which pay the outcome.
        policy: The policy that will be trained, sampling as it will then.
        samples_per_state: Actions tried in each state.
        continuations: Continuations of each action, at least 2.
        counter: Counts all turns as profiling.

    Returns:
        The candidates with their profiles, in order: a reward is the worth of an action, and
        ``action_variance`` tells how much the choice of the action matters. A state whose every
        try was lost to the machinery is left out.
    """
    starts = [
        Start(options={"pivot_id": candidate.pivot_id})
        for candidate in candidates
        for _ in range(samples_per_state)
    ]
    episodes = OutcomeRollOut(continuations)(
        pool, policy, starts, purpose="profile", counter=counter
    )
    profiled = []
    for number, candidate in enumerate(candidates):
        tries = episodes[number * samples_per_state : (number + 1) * samples_per_state]
        scored = [one for one in tries if one.is_scored]
        if scored:
            profile = Profile(
                rewards=tuple(one.return_ for one in scored),
                action_variance=scored[0].transitions[0].info["action_variance"],
            )
            profiled.append(replace(candidate, profile=profile))
    return profiled


def between_action_variance(returns: Iterable[Sequence[float]]) -> float:
    """Return how much the expected return differs between actions, luck taken out.

    Var(R) = Var_a Q(s, a) + E_a Var(R | s, a): the first term decides whether there is anything to
    learn in a state, the second is noise, and a variance over all returns cannot tell them apart.
    This is the estimator of one-way analysis of variance with random effects and unequal numbers
    (Searle, Casella and McCulloch, Variance Components, 1992, section 3.6), cut off at 0.

    Args:
        returns: The returns of each action, at least one action with a return.

    Returns:
        An estimate of Var_a Q(s, a); 0 for a single action. Without an action that was tried twice
        it is the plain variance, luck included.
    """
    actions = [list(each) for each in returns if each]
    count, total = len(actions), sum(map(len, actions))
    if count < 2:
        return 0.0
    means = [sum(each) / len(each) for each in actions]
    whole = sum(map(sum, actions)) / total
    between = sum(
        len(each) * (mean - whole) ** 2 for each, mean in zip(actions, means, strict=True)
    ) / (count - 1)
    within = sum(
        (one - mean) ** 2 for each, mean in zip(actions, means, strict=True) for one in each
    ) / max(total - count, 1)
    size = (total - sum(len(each) ** 2 for each in actions) / total) / (count - 1)
    variance = (between - within) / size
    # What rounding leaves is no difference.
    return variance if variance > 1e-12 else 0.0


def _can_go_on(episode: Trajectory) -> bool:
    """Tell whether there is a state after the first action, and a snapshot of it."""
    return len(episode.transitions) > 1 and episode.transitions[1].snapshot is not None


def _going_on(start: Start, episode: Trajectory, copy: int) -> Start:
    """Return the start after an episode's first action, with luck of its own."""
    luck = start.draw_seed
    if luck is not None:
        luck = int(np.random.SeedSequence([luck, copy]).generate_state(1)[0])
    return Start(options={"snapshot": episode.transitions[1].snapshot}, draw_seed=luck)


def _worths(
    starts: Sequence[Start], episodes: Sequence[Trajectory], returns: Sequence[Sequence[float]]
) -> list[tuple[float, float]]:
    """Return the worth of each episode's first action, and the action variance of its start."""
    by_start: dict[Hashable, dict[str, list[float]]] = {}
    keys = [_key(start) for start in starts]
    for key, episode, values in zip(keys, episodes, returns, strict=True):
        actions = by_start.setdefault(key, {})
        actions.setdefault(episode.transitions[0].action, []).extend(values)
    variances = {key: between_action_variance(each.values()) for key, each in by_start.items()}
    worths = []
    for key, episode in zip(keys, episodes, strict=True):
        actions = by_start[key]
        values = actions[episode.transitions[0].action]
        if variances[key] == 0.0:
            values = [value for each in actions.values() for value in each]
        worths.append((sum(values) / max(len(values), 1), variances[key]))
    return worths


def _key(start: Start) -> Hashable:
    options: Mapping[str, object] = start.options or {}
    return start.seed, tuple(sorted((name, str(value)) for name, value in options.items()))


def _first_turn(episode: Trajectory, worth: tuple[float, float]) -> Trajectory:
    first = episode.transitions[0]
    info = {**first.info, "action_variance": worth[1]}
    if episode.infra_error is not None:
        info["infra_error"] = episode.infra_error
    judged = replace(first, reward=worth[0], info=info, snapshot=None, effect=None)
    return replace(episode, transitions=(judged,))
