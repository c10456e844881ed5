"""The arms of the comparison as data: what each learns from, and how its states are chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Learning = Literal["imitation", "episodes", "pivots"]
States = Literal["demonstrations", "demonstrations and own failures"]
Profiler = Literal["none", "eager", "lazy"]
Selection = Literal["all", "mixed", "difficult mixed", "random, as many"]
Reward = Literal["effect", "strict", "name", "similarity", "ladder", "progress", "outcome"]


@dataclass(frozen=True, slots=True)
class ArmOptions:
    """How one arm learns. The options below the first count for pivots only, but ``has_kl``."""

    learning: Learning = "pivots"
    """``imitation``: SFT; ``episodes``: E2E; ``pivots``: single actions from restored states."""
    states: States = "demonstrations"
    """Where the states come from."""
    profiler: Profiler = "eager"
    """``none``: states are drawn at random; ``eager``: as in the paper; ``lazy``: ours."""
    selection: Selection = "difficult mixed"
    """Which eagerly profiled states become pivots. ``random, as many``: as many as
    ``difficult mixed`` would select, drawn from the same profiled states."""
    reward: Reward = "effect"
    """A verifier of ``wrappers.verifiers``; ``progress``: what the demonstration still needs after
    the action, at states before needed actions only; or the outcome of continuations."""
    has_kl: bool = True
    """Whether the loss has a KL to the base model."""


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
        "lazy-effect": ArmOptions(profiler="lazy", selection="all"),
        "lazy-effect-own": ArmOptions(
            states="demonstrations and own failures", profiler="lazy", selection="all"
        ),
        "lazy-progress": ArmOptions(profiler="lazy", selection="all", reward="progress"),
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
