"""Pivot search: which states of the demonstrations an arm's own actions have mixed outcomes in."""

import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.study import Study
from pivot_agents.accounting import Tally, TurnCounter
from pivot_agents.pool import EnvPool
from pivot_agents.profiling import extract_candidates, profile, select_pivots
from pivot_envs.errors import SandboxError
from pivot_envs.trajectory import Trajectory
from wrappers import FunctionalReward, Pivot, PivotResetWrapper, read_pivots, write_pivots


@dataclass(frozen=True)
class PivotSearch:
    """The pivots of one seed and what it cost to find them."""

    pivots: tuple[Pivot, ...] = ()
    profiled: int = 0
    """States that were profiled."""
    mixed: int = 0
    """Those of them with mixed outcomes."""
    cost: Tally = field(default_factory=Tally)
    wall_s: float = 0.0


NOTHING = PivotSearch()
"""What an arm without pivots spends on finding them."""


def find_pivots(study: Study, demonstrations: Sequence[Trajectory], seed: int) -> PivotSearch:
    """Profile as many drawn states as the protocol's share of the budget allows; select pivots.

    The profile is made once and read again afterwards.
    """
    protocol = study.protocol
    candidates = extract_candidates(demonstrations)
    count = min(protocol.profiled_states, len(candidates))
    drawn = sorted(random.Random(seed).sample(range(len(candidates)), count))
    path = study.run.path / f"seed-{seed}" / "profiled-states.jsonl"
    facts = study.run.stage(
        f"seed-{seed}/profile.json",
        lambda: _profile(study, [candidates[index] for index in drawn], seed, path),
    )
    profiled = read_pivots(path)
    pivots = select_pivots(
        profiled, max_mean=protocol.max_mean, balance_tools=protocol.balance_tools
    )
    return PivotSearch(
        pivots=tuple(pivots),
        profiled=len(profiled),
        mixed=sum(each.profile is not None and each.profile.variance > 0 for each in profiled),
        cost=Tally(**facts["cost"]),
        wall_s=facts["wall_s"],
    )


def _profile(study: Study, candidates: Sequence[Pivot], seed: int, path: Path) -> dict[str, Any]:
    """Profile the states, write them to ``path`` and return what it cost."""
    began = time.perf_counter()
    samples = study.protocol.profile_samples
    counter = TurnCounter()
    with (
        EnvPool(
            lambda: FunctionalReward(PivotResetWrapper(study.make_train_env(), candidates)),
            study.protocol.pool_size,
        ) as pool,
        study.bar(f"pivot seed {seed}: profiling", len(candidates) * samples) as advance,
    ):
        profiled = profile(
            candidates,
            pool,
            study.student(seed),
            samples_per_state=samples,
            counter=counter,
            on_turn=advance,
        )
    if not profiled:
        raise SandboxError(f"the sandbox failed in all {len(candidates)} states to profile")
    write_pivots(path, profiled)
    return {"cost": asdict(counter["profile"]), "wall_s": time.perf_counter() - began}
