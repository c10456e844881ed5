"""Pivot search: which states an arm may learn from, and what it costs to find them."""

import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym

from benchmarks.arm_options import ArmOptions
from benchmarks.study import Study
from pivot_agents.accounting import Tally, TurnCounter
from pivot_agents.env_host import WrapEnv
from pivot_agents.needed import needed_candidates
from pivot_agents.own_states import find_own_states
from pivot_agents.pool import Start
from pivot_agents.profiling import extract_candidates, profile, select_pivots
from pivot_envs.errors import SandboxError
from pivot_envs.trajectory import Trajectory
from wrappers import (
    Pivot,
    PivotResetWrapper,
    PivotReward,
    ProgressReward,
    RememberedSteps,
    StepMemory,
    read_pivots,
    write_pivots,
)
from wrappers.verifiers import VERIFIERS

_CHUNK = 16
"""States that are profiled between two files, the most that an interrupt can lose."""


@dataclass(frozen=True)
class PivotSearch:
    """The states that an arm of one seed learns from, and what it cost to find them."""

    pivots: tuple[Pivot, ...] = ()
    profiled: int = 0
    """States that were profiled."""
    mixed: int = 0
    """Those of them with mixed outcomes."""
    cost: Tally = field(default_factory=Tally)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Processor seconds of this process, all its threads together."""

    def billed_with(self, later: "PivotSearch") -> "PivotSearch":
        """Return what a later search found, at the cost of both."""
        return replace(
            later,
            cost=self.cost + later.cost,
            wall_s=self.wall_s + later.wall_s,
            cpu_s=self.cpu_s + later.cpu_s,
        )


NOTHING = PivotSearch()
"""What an arm without pivots spends on finding them."""


def find_pivots(
    study: Study,
    demonstrations: Sequence[Trajectory],
    seed: int,
    options: ArmOptions,
    memory: StepMemory,
) -> PivotSearch:
    """Return the states that an arm learns from.

    What was found is kept, and read again afterwards; arms with the same reward share a profile.
    """
    if options.reward == "progress":
        begun = _needed(study, demonstrations)
    else:
        begun = PivotSearch(tuple(extract_candidates(demonstrations)))
    if options.profiler == "eager":
        return begun.billed_with(_profiled(study, begun.pivots, seed, options, memory))
    if options.states != "demonstrations and own failures":
        return begun
    own = begun.billed_with(_own_states(study, seed))
    return replace(own, pivots=(*begun.pivots, *own.pivots))


def at_pivots(pivots: Sequence[Pivot], options: ArmOptions, memory: StepMemory) -> WrapEnv:
    """Return what makes an environment start at pivots and pay an arm's reward."""

    def wrap(env: gym.Env[str, str]) -> gym.Env[str, str]:
        env = PivotResetWrapper(env, pivots)
        if options.reward == "outcome":
            return env  # continuations begin at snapshots, of which nothing is remembered
        if options.reward == "progress":
            keeps_reached = options.states == "demonstrations and reached"
            return RememberedSteps(ProgressReward(env, keeps_reached=keeps_reached), memory)
        return RememberedSteps(PivotReward(env, VERIFIERS[options.reward]), memory)

    return wrap


def _profiled(
    study: Study, candidates: Sequence[Pivot], seed: int, options: ArmOptions, memory: StepMemory
) -> PivotSearch:
    """Profile as many drawn states as the protocol's share of the budget allows; select pivots."""
    protocol = study.protocol
    count = min(protocol.profiled_states, len(candidates))
    drawn = sorted(random.Random(seed).sample(range(len(candidates)), count))
    chosen = [candidates[index] for index in drawn]
    found = _profile(study, chosen, seed, options, memory)
    profiled = found.pivots
    difficult = select_pivots(
        profiled, max_mean=protocol.max_mean, balance_tools=protocol.balance_tools
    )
    pivots: Sequence[Pivot] = difficult
    if options.selection == "mixed":
        pivots = select_pivots(profiled, max_mean=1.0, balance_tools=protocol.balance_tools)
    elif options.selection == "random, as many":
        pivots = random.Random(f"{seed} control").sample(profiled, len(difficult))
    mixed = sum(each.profile is not None and each.profile.signal > 0 for each in profiled)
    return replace(found, pivots=tuple(pivots), profiled=len(profiled), mixed=mixed)


def _profile(
    study: Study, candidates: Sequence[Pivot], seed: int, options: ArmOptions, memory: StepMemory
) -> PivotSearch:
    """Return all profiled states and what they cost; chunks are kept as files."""
    folder = f"seed-{seed}/profile-{options.reward}"
    policy, samples = study.student(seed), study.protocol.profile_samples
    profiled: list[Pivot] = []
    whole = PivotSearch()
    label = f"profiling by {options.reward}, seed {seed}"
    with (
        study.pool(wrap=at_pivots(candidates, options, memory)) as pool,
        study.bar(label, len(candidates) * samples) as advance,
    ):

        def make(chunk: Sequence[Pivot], path: Path) -> dict[str, Any]:
            clock, counter = _Clock(), TurnCounter()
            found = profile(
                chunk,
                pool,
                policy,
                samples_per_state=samples,
                counter=counter,
                on_turn=advance,
                seed=seed,
            )
            write_pivots(path, found)
            return {"cost": asdict(counter["profile"]), **clock.read()}

        for at in range(0, len(candidates), _CHUNK):
            chunk, name = candidates[at : at + _CHUNK], f"{folder}/{at // _CHUNK:03d}"
            path = study.run.path / f"{name}.jsonl"
            facts = study.run.stage(f"{name}.json", partial(make, chunk, path))
            profiled += read_pivots(path)
            whole = replace(
                whole,
                cost=whole.cost + Tally(**facts["cost"]),
                wall_s=whole.wall_s + facts["wall_s"],
                cpu_s=whole.cpu_s + facts["cpu_s"],
            )
    if candidates and not profiled:
        raise SandboxError(
            f"all tries in all {len(candidates)} states to profile were lost by the machinery or "
            "left undecided by the reward"
        )
    return replace(whole, pivots=tuple(profiled))


def _needed(study: Study, demonstrations: Sequence[Trajectory]) -> PivotSearch:
    """Return the states before needed actions, and what it cost to find them; no turn is spent."""
    path = study.run.path / "needed.jsonl"

    def make() -> dict[str, Any]:
        clock, memory = _Clock(), StepMemory()
        episodes = sum(len(one.transitions) for one in demonstrations)
        with (
            study.pool(wrap=lambda env: RememberedSteps(env, memory)) as pool,
            study.bar("needed actions", episodes, "episodes") as advance,
        ):
            write_pivots(path, needed_candidates(demonstrations, pool, on_episode=advance))
        return clock.read()

    spent = study.run.stage("needed.json", make)
    return PivotSearch(tuple(read_pivots(path)), cost=Tally(env_s=spent["wall_s"]), **spent)


def _own_states(study: Study, seed: int) -> PivotSearch:
    """Return states from the base's own failures on training tasks; every turn is profiling."""
    protocol = study.protocol
    path = study.run.path / f"seed-{seed}" / "own-states.jsonl"

    def make() -> dict[str, Any]:
        clock, counter = _Clock(), TurnCounter()
        tasks = random.Random(f"{seed} own").sample(
            study.draw.train, min(protocol.own_episodes, len(study.draw.train))
        )
        with (
            study.pool() as pool,
            study.bar(f"own states, seed {seed}", len(tasks) * protocol.max_turns) as advance,
        ):
            found = find_own_states(
                pool,
                study.student(seed),
                [Start(options={"task_id": task}) for task in tasks],
                tries=protocol.own_tries,
                counter=counter,
                on_turn=advance,
            )
        write_pivots(path, found)
        return {"cost": asdict(counter["profile"]), **clock.read()}

    facts = study.run.stage(f"seed-{seed}/own-states.json", make)
    seconds = {name: facts[name] for name in ("wall_s", "cpu_s")}
    return PivotSearch(read_pivots(path), cost=Tally(**facts["cost"]), **seconds)


class _Clock:
    """Measures seconds, on the wall and of the processor."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        return {
            "wall_s": time.perf_counter() - self._wall,
            "cpu_s": time.process_time() - self._cpu,
        }
