"""Protocol, every number of the comparison, fixed before its runs, and the tasks that it draws."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.corpus import is_for_pretraining
from pivot_envs.coding.task import CodingTask
from pivot_envs.errors import TaskError


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is run and how much of it. ``benchmarks/README.md`` says what each number is for."""

    demonstrations: int
    """Training tasks, with one demonstration each."""
    turn_budget: int
    """Rollout turns that an RL arm may spend on learning, profiling included."""
    seeds: int
    """How often each arm is run."""
    profile_samples: int
    """Actions tried in each profiled state."""
    test_tasks: int
    """Unseen mutations of known functions; the headline."""
    test_samples: int
    """Episodes of each test task at T=1; greedy adds one more."""
    unseen_tasks: int
    """Tasks of functions that no one was trained on."""
    unseen_samples: int
    validation_tasks: int
    """Tasks for the learning curves, from the training pool but without demonstrations."""
    validation_samples: int
    validate_every_turns: int
    """Learning turns between two points of a learning curve."""
    drills: int
    """Out-of-domain drills of each family."""
    elsewhere_tasks: int = 36
    """Tasks of other kinds of the domain, where it has such."""
    max_lines: int = 5
    """Longest function body of a task, in lines; what the base model can be expected to repair."""
    profile_share: float = 0.5
    """Largest share of the turn budget that profiling may use; states are drawn to fit."""
    max_mean: float = 0.9
    """States that succeed at least this often are too easy to be pivots."""
    own_episodes: int = 8
    """Episodes whose failures give an arm states of its own."""
    own_tries: int = 4
    """New attempts from each state that is tried in that search."""
    balance_tools: bool = True
    """Keep no more pivots of one tool than of all the others together."""
    e2e_groups: int = 4
    """Groups of a step from the beginning of tasks."""
    pivot_groups: int = 8
    """Groups of a step from pivots."""
    group_size: int = 8
    """Rollouts of each group."""
    rl_learning_rate: float = 5e-4
    kl_coef: float = 0.05
    counts_silent: bool = False
    """Whether groups that teach nothing make an RL arm's steps smaller."""
    anchors_silent: bool = False
    """Whether their KL holds the policy, in arms that have one."""
    sft_learning_rate: float = 5e-4
    sft_epochs: int = 3
    sft_batch: int = 16
    """Demonstrations in each step of SFT."""
    max_turns: int = 8
    """Turns of an episode."""
    max_new_tokens: int = 64
    """Longest action in tokens."""
    drill_size: int = 6
    pool_size: int = 16
    """Sandboxes that run side by side."""
    threads: int = 2
    """Threads of the model."""
    draw_seed: int = 0
    """Seed of the draws of tasks, and of the demonstrator."""

    @property
    def sft_steps(self) -> int:
        """Steps of SFT if every training task gave a demonstration."""
        return -(-self.sft_epochs * self.demonstrations // self.sft_batch)

    @property
    def profiled_states(self) -> int:
        """Most states whose profile fits into its share of the budget."""
        return int(self.turn_budget * self.profile_share) // self.profile_samples


PRESETS: Mapping[str, Protocol] = {
    "quick": Protocol(
        demonstrations=32,
        turn_budget=800,
        seeds=1,
        profile_samples=4,
        test_tasks=24,
        test_samples=1,
        unseen_tasks=12,
        unseen_samples=1,
        validation_tasks=8,
        validation_samples=2,
        validate_every_turns=400,
        drills=32,
    ),
    "full": Protocol(
        demonstrations=32,
        turn_budget=6000,
        seeds=3,
        profile_samples=8,
        test_tasks=44,
        test_samples=2,
        unseen_tasks=32,
        unseen_samples=1,
        validation_tasks=10,
        validation_samples=2,
        validate_every_turns=1000,
        drills=64,
        profile_share=0.4,
        e2e_groups=8,
        pivot_groups=16,
        kl_coef=0.02,
    ),
    # For a model of 10 M parameters and more: longer functions, more states, surer curves.
    "gpu": Protocol(
        demonstrations=48,
        turn_budget=8000,
        seeds=5,
        profile_samples=8,
        test_tasks=80,
        test_samples=2,
        unseen_tasks=60,
        unseen_samples=1,
        validation_tasks=24,
        validation_samples=2,
        validate_every_turns=1000,
        drills=128,
        max_lines=20,
        pool_size=32,
    ),
}
PresetName = Literal["quick", "full", "gpu"]


def protocol_for(preset: PresetName, domain: str) -> Protocol:
    """Return a preset's protocol in a domain; on the web there are instances without end."""
    protocol = PRESETS[preset]
    if preset == "full" and domain == "web":
        return replace(
            protocol,
            demonstrations=64,
            # A step of E2E and one at pivots take about as many turns.
            e2e_groups=4,
            test_tasks=64,
            elsewhere_tasks=144,
            validation_tasks=48,
            # So that two seeds can run side by side on two cores.
            threads=1,
        )
    return protocol


DRILL_FAMILIES = ("lookup", "reverse")
"""The two out-of-domain families of ``pivot/Drill-v0``."""


@dataclass(frozen=True, slots=True)
class TaskDraw:
    """Ids of the tasks of each set; no task is in two of them."""

    train: tuple[str, ...]
    """Demonstrated and trained on."""
    validation: tuple[str, ...]
    """From the same pool; decides the learning curves and what tuning selects."""
    test: tuple[str, ...]
    unseen: tuple[str, ...]
    drills: Mapping[str, tuple[str, ...]]
    """Drill ids by family."""
    elsewhere: tuple[str, ...] = ()
    """Tasks of other kinds of the domain, on which no arm is trained; a family out of domain."""

    @property
    def every(self) -> tuple[str, ...]:
        """All tasks but the drills."""
        return self.train + self.validation + self.test + self.unseen + self.elsewhere


def drill_ids(protocol: Protocol) -> dict[str, tuple[str, ...]]:
    """Return the out-of-domain drills by family."""
    size = protocol.drill_size
    return {
        family: tuple(f"{family}-{size}-{number}" for number in range(protocol.drills))
        for family in DRILL_FAMILIES
    }


def draw_tasks(tasks: Iterable[CodingTask], protocol: Protocol) -> TaskDraw:
    """Draw the tasks of every set; a set is smaller than asked for where the file has too few.

    Training and validation tasks are ``train`` tasks that the base model was not pretrained on.
    Tasks of long functions are left out everywhere.

    Raises:
        TaskError: A set is empty.
    """
    pools: dict[str, list[str]] = {"train": [], "test": [], "unseen": []}
    for task in tasks:
        bug = task.bug
        if bug.lines > protocol.max_lines:
            continue
        if task.split == "train" and is_for_pretraining(task.package, bug.function, bug.mutation):
            continue
        pools[task.split].append(task.task_id)
    for name, pool in pools.items():
        pool.sort()
        random.Random(f"{protocol.draw_seed} {name}").shuffle(pool)
    demonstrated = protocol.demonstrations
    draw = TaskDraw(
        train=tuple(pools["train"][:demonstrated]),
        validation=tuple(pools["train"][demonstrated : demonstrated + protocol.validation_tasks]),
        test=tuple(pools["test"][: protocol.test_tasks]),
        unseen=tuple(pools["unseen"][: protocol.unseen_tasks]),
        drills=drill_ids(protocol),
    )
    for name in ("train", "validation", "test", "unseen"):
        if not getattr(draw, name):
            raise TaskError(
                f"expected tasks of at most {protocol.max_lines} lines for the set {name!r}, got "
                "none; raise --max-lines, or build a larger task file with "
                "python -m pivot_envs.coding build"
            )
    return draw
