"""Profiling: which states of the demonstrations have mixed outcomes for the policy itself."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pivot_agents.accounting import TurnCounter
from pivot_agents.policy import Policy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_envs.errors import InfraError
from pivot_envs.snapshot import sha256
from pivot_envs.trajectory import Trajectory, Transition
from wrappers import Pivot, Profile


def extract_candidates(trajectories: Iterable[Trajectory]) -> list[Pivot]:
    """Return every state of the successful trajectories as a pivot without a profile.

    A turn counts if it has a snapshot and an effect and its action was a valid tool call; roll
    out with ``record_snapshots=True``. Ids are ``<trajectory_id>@<turn>``.
    """
    return [
        _candidate(trajectory, turn, transition)
        for trajectory in trajectories
        if trajectory.is_success and trajectory.infra_error is None
        for turn, transition in enumerate(trajectory.transitions)
        if transition.snapshot is not None
        and transition.effect is not None
        and transition.info["action_error"] is None
    ]


def profile(
    candidates: Sequence[Pivot],
    pool: EnvPool,
    policy: Policy,
    *,
    samples_per_state: int = 8,
    counter: TurnCounter | None = None,
    on_turn: Callable[[int], None] | None = None,
    seed: int = 0,
) -> list[Pivot]:
    """Execute the policy's own actions in each restored state and keep their rewards.

    Args:
        candidates: The states, with distinct ids.
        pool: Environments ``PivotReward(PivotResetWrapper(env, candidates), verifier)``.
        policy: The policy that will be trained, sampling as it will then.
        samples_per_state: Actions tried in each state.
        counter: Counts the turns as profiling.
        on_turn: Called with the number of turns after each round, for a progress bar.
        seed: Seed of the policy's draws; a state's do not depend on the states beside it, so that
            a profile may be made in parts.

    Returns:
        The candidates with their profiles, in order. A state whose every try was lost to the
        machinery, or left undecided by the verifier, is left out.

    Raises:
        InfraError: The machinery failed in every try.
    """
    starts = [
        Start(
            options={"pivot_id": candidate.pivot_id},
            draw_seed=_draw_seed(seed, candidate.pivot_id, sample),
        )
        for candidate in candidates
        for sample in range(samples_per_state)
    ]
    episodes = rollout(
        pool, policy, starts, horizon=1, purpose="profile", counter=counter, on_turn=on_turn
    )
    failures = [one.infra_error for one in episodes]
    if failures and None not in failures:
        raise InfraError(f"the machinery failed in all {len(failures)} tries: {failures[0]}")
    profiled = []
    for number, candidate in enumerate(candidates):
        tries = episodes[number * samples_per_state : (number + 1) * samples_per_state]
        rewards = tuple(one.return_ for one in tries if one.is_scored)
        if rewards:
            profiled.append(replace(candidate, profile=Profile(rewards)))
    return profiled


def select_pivots(
    pivots: Iterable[Pivot], *, max_mean: float = 0.6, balance_tools: bool = False
) -> list[Pivot]:
    """Keep states with mixed outcomes that are not easy yet (arXiv:2603.21383, equation 5).

    Args:
        pivots: States with profiles; those without one are left out.
        max_mean: Mean reward that a state must stay below, lambda in the paper.
        balance_tools: Keep at most as many states of one tool as of all the others together, so
            that training does not drift towards one kind of action. Those of the highest signal
            stay. Does nothing where only one tool is left.

    Returns:
        The selected pivots in their order.
    """
    mixed = [
        pivot
        for pivot in pivots
        if pivot.profile is not None and pivot.profile.signal > 0 and pivot.profile.mean < max_mean
    ]
    counts = Counter(pivot.tool for pivot in mixed)
    if not balance_tools or len(counts) < 2:
        return mixed
    tool, count = counts.most_common(1)[0]
    limit = min(count, len(mixed) - count)
    ranked = sorted((pivot for pivot in mixed if pivot.tool == tool), key=_signal, reverse=True)
    kept = {pivot.pivot_id for pivot in ranked[:limit]}
    return [pivot for pivot in mixed if pivot.tool != tool or pivot.pivot_id in kept]


def _candidate(trajectory: Trajectory, turn: int, transition: Transition) -> Pivot:
    assert transition.snapshot is not None
    assert transition.effect is not None
    return Pivot(
        pivot_id=f"{trajectory.trajectory_id}@{turn}",
        trajectory_id=trajectory.trajectory_id,
        turn=turn,
        snapshot=transition.snapshot,
        demonstration=transition.action,
        effect=transition.effect,
        tool=json.loads(transition.action)["name"],
    )


def _draw_seed(seed: int, pivot_id: str, sample: int) -> int:
    return int(sha256(f"{seed} {pivot_id} {sample}".encode())[:16], 16)


def _signal(pivot: Pivot) -> float:
    return 0.0 if pivot.profile is None else pivot.profile.signal
