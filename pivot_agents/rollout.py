"""Rollouts: a policy meets a pool of environments, turn by turn in lockstep."""

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from pivot_agents.accounting import Purpose, Tally, TurnCounter
from pivot_agents.policy import Completion, Context, Policy
from pivot_agents.pool import EnvPool, Outcome, Start
from pivot_envs.snapshot import sha256
from pivot_envs.trajectory import Trajectory, Transition


@dataclass(slots=True)
class _Episode:
    """One episode in the making."""

    index: int
    start: Start
    first: Outcome
    latest: Outcome
    transitions: list[Transition] = field(default_factory=list)
    prefix_ids: tuple[int, ...] = ()
    prefix_messages: int = 0

    @property
    def task_id(self) -> str:
        return str(self.first.info["task_id"])

    def context(self, horizon: int | None) -> Context:
        turn, seed = len(self.transitions), self.start.draw_seed
        return Context(
            messages=self.latest.messages,
            tools=self.latest.tools,
            task_id=self.task_id,
            prefix_ids=self.prefix_ids,
            prefix_messages=self.prefix_messages,
            turns_left=None if horizon is None else horizon - turn,
            draw_key=None if seed is None else (seed, turn),
        )


@dataclass(slots=True)
class _State:
    """Which episodes wait, run and have ended."""

    waiting: deque[tuple[int, Start]]
    free: list[int]
    """Slots without an episode."""
    running: dict[int, _Episode] = field(default_factory=dict)
    """Episodes by slot."""
    finished: dict[int, Trajectory] = field(default_factory=dict)
    """Trajectories by the number of their start."""

    def finish(self, slot: int, episode: _Episode) -> None:
        self.finished[episode.index] = _trajectory(episode)
        self.free.append(slot)


class RollOut(Protocol):
    """What runs one episode from each start, as ``rollout`` does or around it."""

    def __call__(
        self,
        pool: EnvPool,
        policy: Policy,
        starts: Sequence[Start],
        *,
        horizon: int | None,
        purpose: Purpose,
        counter: TurnCounter | None,
    ) -> list[Trajectory]:
        """Return the episodes in the order of their starts."""
        ...


def rollout(
    pool: EnvPool,
    policy: Policy,
    starts: Sequence[Start],
    *,
    horizon: int | None = None,
    purpose: Purpose = "evaluate",
    counter: TurnCounter | None = None,
    record_snapshots: bool = False,
    on_turn: Callable[[int], None] | None = None,
) -> list[Trajectory]:
    """Run one episode from each start and return their trajectories in the same order.

    All running episodes act together, so that the policy sees large batches; a slot whose episode
    ends begins the next one at once. An episode whose environment could not be started has one
    transition with an empty action and ``info["infra_error"]``.

    Args:
        pool: Where episodes run.
        policy: What acts.
        starts: How each episode begins.
        horizon: Most turns of an episode; ``None`` leaves the end to the environment.
        purpose: What the turns are counted under.
        counter: Counts them.
        record_snapshots: Also record the snapshot before each action and the action's effect.
        on_turn: Called with the number of turns after each round, for a progress bar.
    """
    counter = counter or TurnCounter()
    state = _State(deque(enumerate(starts)), free=list(range(pool.size)))
    while state.waiting or state.running:
        tally = _begin(pool, state)
        if state.running:
            tally += _act(pool, policy, state, horizon, record_snapshots)
        counter.add(purpose, tally)
        if on_turn is not None:
            on_turn(tally.turns)
    return [state.finished[index] for index in range(len(starts))]


def _begin(pool: EnvPool, state: _State) -> Tally:
    """Start waiting episodes in free slots."""
    began = time.perf_counter()
    chosen: dict[int, tuple[int, Start]] = {}
    state.free.sort(reverse=True)
    while state.free and state.waiting:
        chosen[state.free.pop()] = state.waiting.popleft()
    outcomes = pool.reset({slot: start for slot, (_, start) in chosen.items()})
    for slot, (index, start) in chosen.items():
        episode = _Episode(index, start, outcomes[slot], outcomes[slot])
        if outcomes[slot].is_over:
            episode.transitions.append(_transition("", Completion(""), outcomes[slot]))
            state.finish(slot, episode)
        else:
            state.running[slot] = episode
    return Tally(env_s=time.perf_counter() - began)


def _act(pool: EnvPool, policy: Policy, state: _State, horizon: int | None, record: bool) -> Tally:
    """Take one turn in every running episode."""
    began = time.perf_counter()
    contexts = [episode.context(horizon) for episode in state.running.values()]
    completions = dict(zip(state.running, policy.act(contexts), strict=True))
    acted = time.perf_counter()
    actions = {slot: completion.text for slot, completion in completions.items()}
    outcomes = pool.step(actions, record=record)
    stepped = time.perf_counter()
    ended = 0
    for slot, completion in completions.items():
        _append(state.running[slot], completion, outcomes[slot], horizon)
        if state.running[slot].latest.is_over:
            state.finish(slot, state.running.pop(slot))
            ended += 1
    return Tally(
        episodes=ended,
        turns=len(completions),
        generated_tokens=sum(len(one.token_ids) for one in completions.values()),
        prompt_tokens=sum(len(one.prompt_ids) for one in completions.values()),
        env_s=stepped - acted,
        model_s=acted - began,
    )


def _append(
    episode: _Episode, completion: Completion, outcome: Outcome, horizon: int | None
) -> None:
    transition = _transition(episode.latest.observation, completion, outcome)
    if len(episode.transitions) + 1 == horizon and not outcome.is_over:
        transition = replace(transition, truncated=True)
        outcome = replace(outcome, truncated=True)
    if completion.token_ids:
        episode.prefix_ids = completion.prompt_ids + completion.token_ids
        episode.prefix_messages = len(episode.latest.messages) + 1
    episode.transitions.append(transition)
    episode.latest = outcome


def _transition(observation: str, completion: Completion, outcome: Outcome) -> Transition:
    return Transition(
        observation=observation,
        action=completion.text,
        next_observation=outcome.observation,
        reward=outcome.reward,
        terminated=outcome.terminated,
        truncated=outcome.truncated,
        info=outcome.info,
        snapshot=outcome.snapshot,
        effect=outcome.effect,
        token_ids=completion.token_ids,
        logprobs=completion.logprobs,
        prompt_ids=completion.prompt_ids,
    )


def _trajectory(episode: _Episode) -> Trajectory:
    task_id = episode.task_id
    turns = [[turn.observation, turn.action] for turn in episode.transitions]
    content = sha256(json.dumps([task_id, turns]).encode("ascii"))
    return Trajectory(
        env_id=episode.first.env_id,
        env_kwargs=episode.first.env_kwargs,
        task_id=task_id,
        seed=episode.start.seed,
        transitions=tuple(episode.transitions),
        trajectory_id=f"{task_id}#{content[:12]}.{episode.index}",
    )
