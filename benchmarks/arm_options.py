"""The arms of the comparison as data: what each learns from, and how its states are chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Learning = Literal["imitation", "episodes", "pivots"]
States = Literal["demonstrations", "demonstrations and own failures", "demonstrations and reached"]
Profiler = Literal["none", "eager", "lazy", "lazy by likelihood"]
Selection = Literal["all", "mixed", "difficult mixed", "random, as many"]
Reward = Literal["effect", "strict", "name", "similarity", "ladder", "progress", "outcome"]


@dataclass(frozen=True, slots=True)
class ArmOptions:
    """How one arm learns. The options below the first count for pivots only, but ``has_kl``."""

    learning: Learning = "pivots"
    """``imitation``: SFT; ``episodes``: E2E; ``pivots``: single actions from restored states."""
    states: States = "demonstrations"
    """Where the states come from; ``reached``: by the arm's own actions, while it is trained."""
    profiler: Profiler = "eager"
    """``none``: states are drawn at random; ``eager``: as in the paper; ``lazy``: ours;
    ``lazy by likelihood``: with priors by how likely the demonstrated action is."""
    selection: Selection = "difficult mixed"
    """Which eagerly profiled states become pivots. ``random, as many``: as many as
    ``difficult mixed`` would select, drawn from the same profiled states."""
    reward: Reward = "effect"
    """A verifier of ``wrappers.verifiers``; ``progress``: what the demonstration still needs after
    the action, at states before needed actions only; or the outcome of continuations."""
    has_kl: bool = True
    """Whether the loss has a KL to the base model."""

    @property
    def is_local(self) -> bool:
        """Whether its rollouts are single actions; an outcome takes whole episodes, as E2E does."""
        return self.learning == "pivots" and self.reward != "outcome"


ARMS: Mapping[str, ArmOptions] = MappingProxyType(
    {
        "SFT": ArmOptions("imitation"),
        "E2E": ArmOptions("episodes"),
        "E2E-no-KL": ArmOptions("episodes", has_kl=False),
        "pivot": ArmOptions(),
        "pivot-no-KL": ArmOptions(has_kl=False),
        "paper-name": ArmOptions(reward="name"),
        "paper-similarity": ArmOptions(reward="similarity"),
        "random-pivots": ArmOptions(profiler="none", selection="all"),
        "matched-random": ArmOptions(selection="random, as many"),
        "mixed-only": ArmOptions(selection="mixed"),
        "difficult-mixed-strict": ArmOptions(reward="strict"),
        "pivot-progress": ArmOptions(reward="progress"),
        "random-progress": ArmOptions(profiler="none", selection="all", reward="progress"),
        "lazy-effect": ArmOptions(profiler="lazy", selection="all"),
        "lazy-effect-own": ArmOptions(
            states="demonstrations and own failures", profiler="lazy", selection="all"
        ),
        "lazy-progress": ArmOptions(profiler="lazy", selection="all", reward="progress"),
        "likely-progress": ArmOptions(
            profiler="lazy by likelihood", selection="all", reward="progress"
        ),
        "lazy-progress-reached": ArmOptions(
            states="demonstrations and reached",
            profiler="lazy",
            selection="all",
            reward="progress",
        ),
        "lazy-outcome": ArmOptions(profiler="lazy", selection="all", reward="outcome"),
    }
)
"""Every arm by name. ``pivot`` is difficult-mixed states, profiled eagerly, with the effect reward:
the other pivot arms change one thing of it, the lazy ones one thing after the other."""

MAIN_ARMS = ("SFT", "E2E", "pivot")
"""The arms that are run unless others are named."""


def check_arms(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names in the order of ``ARMS``, each once.

    Raises:
        ValueError: A name is unknown, or there is none.
    """
    unknown = [name for name in names if name not in ARMS]
    if unknown or not names:
        raise ValueError(
            f"expected some of the arms {', '.join(ARMS)}; got {', '.join(unknown) or 'none'}"
        )
    return tuple(name for name in ARMS if name in names)


Settings = Mapping[str, float]
"""Numbers of the protocol, by name."""


@dataclass(frozen=True)
class Plan:
    """Which arms a comparison runs, and the one that it is about."""

    arms: Sequence[str] = MAIN_ARMS
    headline: str = "pivot"
    """The arm that the claim is about; one that learns from pivots."""
    tuned: Mapping[str, Settings] | None = None
    """What differs from the protocol for an arm, by its name."""
    tried: Mapping[str, float] | None = None
    """Validation success of the best trial of each arm that was tuned, for the report."""
    only: Sequence[str] = ()
    """Jobs, an arm and a seed each such as ``pivot:0``, to be run alone and without a report."""

    def __post_init__(self) -> None:
        """Put the arms in the order of ``ARMS``.

        Raises:
            ValueError: An arm is unknown, there is none, or the headline learns from no pivots.
        """
        object.__setattr__(self, "arms", check_arms(self.arms))
        able = [arm for arm, options in ARMS.items() if options.learning == "pivots"]
        if self.headline not in able:
            expected = ", ".join(able)
            raise ValueError(
                f"expected the headline to be one of the arms {expected}; got {self.headline}"
            )

    def settings(self, arm: str) -> Settings:
        """Return what differs from the protocol for an arm."""
        return (self.tuned or {}).get(arm, {})

    @property
    def untuned(self) -> tuple[str, ...]:
        """Arms with settings that were tuned for another."""
        tried = {} if self.tried is None else self.tried
        return tuple(arm for arm in self.arms if self.settings(arm) and arm not in tried)

    def jobs(self, seeds: int) -> tuple[tuple[str, int], ...]:
        """Return the arms and seeds that are to be run alone, of a run with so many seeds.

        Raises:
            ValueError: A job names no arm and seed of the run.
        """
        jobs = []
        for text in self.only:
            name, _, seed = text.partition(":")
            if name not in ARMS or not seed.isdecimal() or int(seed) >= seeds:
                raise ValueError(
                    f"expected jobs such as pivot:0, with one of the arms {', '.join(ARMS)} and a "
                    f"seed from 0 to {seeds - 1}; got {text!r}"
                )
            jobs.append((name, int(seed)))
        return tuple(jobs)
