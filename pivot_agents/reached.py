"""ReachedStates, which lets groups also begin where the policy's own actions led.

Single actions that are learned in the states of demonstrations alone are right where the
demonstrator would have gone, and nowhere else: another order, a detour or a call that is refused
leads to states that no demonstration holds. They are restored here and become pivots themselves.
No turn is spent on finding them: they are where the rollouts of the steps before have ended. States
in which something must be undone first are none of them: no demonstration says how.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pivot_agents.lazy import LazyProfiler, Status
from pivot_agents.pool import Start
from pivot_envs.snapshot import Message, Snapshot
from wrappers import Pivot
from wrappers.pivot import pivot_from, pivot_record


@dataclass(frozen=True, slots=True)
class ReachedConfig:
    """Settings of starts in reached states."""

    share: float = 0.5
    """Largest share of a step's groups that begin in reached states, in [0, 1]."""
    kept_steps: int = 4
    """Steps after which a state is forgotten that was not reached again: the policy has moved."""
    seed: int = 0
    """Seed of the draws."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.kept_steps < 1:
            raise ValueError(
                "expected share in [0, 1] and kept_steps >= 1, got "
                f"{self.share} and {self.kept_steps}"
            )


@dataclass(slots=True)
class _Reached:
    """One reached state."""

    pivot: Pivot
    step: int
    """The step in which it was last reached."""
    visits: int = 0
    """How many episodes reached it since it was not forgotten."""


class ReachedStates:
    """A curriculum of demonstrated states and of those that the policy reached from them.

    Reached states are drawn with chances proportional to their visits, so that they are trained on
    as often as the policy comes there; the other groups are the profiler's. What can be reached
    grows by one action each step. A state with the same conversation as a demonstrated one is that
    one, and left to the profiler.

    For environments that say what was reached, such as ``ProgressReward(keeps_reached=True)``.
    """

    def __init__(
        self,
        profiler: LazyProfiler,
        candidates: Sequence[Pivot],
        config: ReachedConfig | None = None,
    ) -> None:
        """Begin with nothing reached.

        Args:
            profiler: Chooses among the demonstrated states.
            candidates: The demonstrated states, the profiler's.
            config: The settings.
        """
        self.config = config or ReachedConfig()
        self.started = 0
        """Groups that began in reached states so far."""
        self._profiler = profiler
        self._demonstrated = {_place(candidate) for candidate in candidates}
        self._known: dict[str, _Reached] = {}
        self._drawn = 0

    def starts(self, step: int, groups: int) -> list[Start]:
        """Return the profiler's starts, then those in reached states, each state once."""
        known = list(self._known.values())
        self._drawn = min(int(self.config.share * groups), len(known))
        generator = np.random.default_rng([self.config.seed, step])
        visits = np.array([one.visits for one in known], dtype=np.float64)
        drawn: list[int] = []
        if self._drawn:
            chances = visits / visits.sum()
            drawn = generator.choice(len(known), self._drawn, replace=False, p=chances).tolist()
        self.started += self._drawn
        first = self._profiler.starts(step, groups - self._drawn)
        return [*first, *(Start(options={"pivot": known[number].pivot}) for number in drawn)]

    def observe(self, step: int, rewards: Sequence[Sequence[float]]) -> None:
        """Tell the profiler the rewards of its groups, and whether the others moved the policy.

        Raises:
            ValueError: As the profiler does.
        """
        count = len(rewards) - self._drawn
        moved = any(min(each) < max(each) for each in rewards[count:] if each)
        self._profiler.observe(step, rewards[:count], moved=moved)

    def reach(self, step: int, reached: Sequence[Sequence[Pivot]]) -> None:
        """Take the states that the episodes of a step reached, and forget old ones."""
        for pivot in (pivot for group in reached for pivot in group):
            if _place(pivot) not in self._demonstrated:
                one = self._known.setdefault(pivot.pivot_id, _Reached(pivot, step))
                one.step = step
                one.visits += 1
        oldest = step - self.config.kept_steps
        self._known = {name: one for name, one in self._known.items() if one.step > oldest}

    def counts(self) -> dict[Status, int]:
        """Return how many demonstrated states are in each of the profiler's statuses."""
        return self._profiler.counts()

    def state(self) -> dict[str, Any]:
        """Return the profiler's evidence and the reached states as JSON-able data."""
        blobs: dict[str, str] = {}

        def put(snapshot: Snapshot) -> dict[str, Any]:
            for name, blob in snapshot.blobs.items():
                if name not in blobs:
                    blobs[name] = base64.b64encode(blob).decode("ascii")
            return snapshot.manifest()

        known = [
            {"pivot": pivot_record(one.pivot, put), "step": one.step, "visits": one.visits}
            for one in self._known.values()
        ]
        evidence = self._profiler.state()
        return {"profiler": evidence, "reached": known, "blobs": blobs, "started": self.started}

    def load(self, state: Mapping[str, Any]) -> None:
        """Bring back what ``state`` returned.

        Raises:
            ValueError: The profiler does not know a state.
            KeyError: A field or a blob is missing.
            SnapshotError: A snapshot is damaged.
        """
        blobs = {name: base64.b64decode(text) for name, text in state["blobs"].items()}

        def get(manifest: Mapping[str, Any]) -> Snapshot:
            return Snapshot.from_manifest(
                manifest, {name: blobs[name] for name in manifest["blobs"]}
            )

        self._profiler.load(state["profiler"])
        self.started = state["started"]
        known = [
            _Reached(pivot_from(one["pivot"], get), one["step"], one["visits"])
            for one in state["reached"]
        ]
        self._known = {one.pivot.pivot_id: one for one in known}

    def settings(self) -> Mapping[str, Any]:
        """Return the settings, the profiler's included."""
        return {**self._profiler.settings(), "reached": asdict(self.config)}


def _place(pivot: Pivot) -> tuple[str, tuple[Message, ...]]:
    """Return what the policy sees of a state."""
    return pivot.snapshot.task_id, pivot.snapshot.messages
