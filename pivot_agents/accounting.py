"""TurnCounter, the one place where turns, tokens and seconds of rollouts are counted."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Purpose = Literal["demonstrate", "profile", "train", "evaluate"]


@dataclass(frozen=True, slots=True)
class Tally:
    """What rollouts cost."""

    episodes: int = 0
    turns: int = 0
    """Model calls with the environment steps they led to."""
    generated_tokens: int = 0
    prompt_tokens: int = 0
    """Tokens of all contexts, as if each turn encoded its whole conversation."""
    env_s: float = 0.0
    """Seconds that the rollout waited for environments, which step side by side."""
    model_s: float = 0.0
    """Seconds that the rollout waited for the policy."""

    def __add__(self, other: "Tally") -> "Tally":
        """Add field by field."""
        mine, theirs = asdict(self), asdict(other)
        return Tally(**{name: mine[name] + theirs[name] for name in mine})


class TurnCounter:
    """Tallies by purpose. Give one counter to everything whose cost belongs to one arm."""

    def __init__(self) -> None:
        """Start at zero."""
        self._tallies: dict[Purpose, Tally] = {purpose: Tally() for purpose in get_args(Purpose)}

    def add(self, purpose: Purpose, tally: Tally) -> None:
        """Count ``tally`` under ``purpose``."""
        self._tallies[purpose] = self._tallies[purpose] + tally

    def __getitem__(self, purpose: Purpose) -> Tally:
        """Return what was counted under ``purpose``."""
        return self._tallies[purpose]

    @property
    def learning(self) -> Tally:
        """What learning cost: profiling and training together."""
        return self._tallies["profile"] + self._tallies["train"]

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return the tallies as JSON-able data."""
        return {purpose: asdict(tally) for purpose, tally in self._tallies.items()}

    def load(self, tallies: Mapping[str, Mapping[str, Any]]) -> None:
        """Bring back what ``as_dict`` returned."""
        for purpose in get_args(Purpose):
            self._tallies[purpose] = Tally(**tallies[purpose])
