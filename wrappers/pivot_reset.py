"""PivotResetWrapper, which makes episodes start at pivots."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs, seeding

from pivot_envs.core import PivotEnv
from wrappers.pivot import Pivot


class PivotResetWrapper(gym.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Start every episode at a pivot, by resuming its snapshot.

    ``reset()`` draws a pivot, and the same seed draws the same pivot;
    ``reset(options={"pivot_id": ...})`` names one; ``reset(options={"pivot": ...})`` brings one
    along, such as a state that was only just reached; any other option goes to the environment as
    it is. After a start at a pivot, the reset's ``info`` has ``pivot_id``, ``pivot_turn`` and
    ``trajectory_id``.

    The environment keeps its own horizon, so ``gym.wrappers.TimeLimit(PivotResetWrapper(env,
    pivots), k)`` is the k-turn local rollout.
    """

    def __init__(
        self,
        env: gym.Env[str, str],
        pivots: Sequence[Pivot],
        *,
        weights: Sequence[float] | None = None,
    ) -> None:
        """Wrap an environment.

        Args:
            env: An environment whose ``reset`` takes ``options={"snapshot": ...}``.
            pivots: Where to start; at least one, with distinct ids.
            weights: Relative chance of each pivot, all finite and >= 0, not all 0; equal chances
                by default.

        Raises:
            ValueError: There is no pivot, two have the same id, or the weights do not fit.
        """
        pivots = tuple(pivots)
        # Pivots are frozen, and a deep copy of their blobs would cost their size again.
        RecordConstructorArgs.__init__(self, pivots=pivots, weights=weights, _disable_deepcopy=True)
        gym.Wrapper.__init__(self, env)
        if not pivots:
            raise ValueError("pivots must hold at least one Pivot, got none")
        self._pivots = {pivot.pivot_id: pivot for pivot in pivots}
        if len(self._pivots) < len(pivots):
            raise ValueError("pivots must have distinct pivot_ids, got some twice")
        self._ids = tuple(self._pivots)
        self._probabilities = _probabilities(weights, len(pivots))
        self._generator = seeding.np_random()[0]
        self._pivot: Pivot | None = None

    @property
    def pivot(self) -> Pivot | None:
        """The pivot that the current episode started at; ``None`` if it started elsewhere."""
        return self._pivot

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start at a pivot, or pass other options on.

        Args:
            seed: Seeds the draw of this and the following pivots, and the environment.
            options: ``{"pivot_id": str}``, ``{"pivot": Pivot}``, or options of the environment.

        Raises:
            ValueError: The pivot id is unknown, or it or the pivot comes with other options.
            TypeError: The pivot is none.
            SnapshotError: The pivot's snapshot cannot be resumed in this environment.
            InfraError: The environment's machinery cannot be started.
        """
        self._pivot = None
        pivot = self.choose(seed=seed, options=options)
        if pivot is None:
            return self.env.reset(seed=seed, options=options)
        observation, info = self.env.reset(seed=seed, options={"snapshot": pivot.snapshot})
        self._pivot = pivot
        start = {
            "pivot_id": pivot.pivot_id,
            "pivot_turn": pivot.turn,
            "trajectory_id": pivot.trajectory_id,
        }
        return observation, {**info, **start}

    def choose(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> Pivot | None:
        """Return the pivot that ``reset`` with these arguments starts at, and draw it as it does.

        Returns:
            ``None`` if ``reset`` passes the options on.

        Raises:
            ValueError: The pivot id is unknown, or it or the pivot comes with other options.
            TypeError: The pivot is none.
        """
        if seed is not None:
            self._generator = seeding.np_random(seed)[0]
        if not options:
            return self._draw()
        if options.keys().isdisjoint({"pivot", "pivot_id"}):
            return None
        if len(options) > 1:
            raise ValueError(f"a pivot goes with no other option, got {sorted(options)}")
        return _brought(options["pivot"]) if "pivot" in options else self._named(options)

    def _draw(self) -> Pivot:
        index = self._generator.choice(len(self._ids), p=self._probabilities)
        return self._pivots[self._ids[index]]

    def _named(self, options: dict[str, Any]) -> Pivot:
        pivot = self._pivots.get(options["pivot_id"])
        if pivot is None:
            raise ValueError(
                f"unknown pivot_id {options['pivot_id']!r}; this wrapper has {len(self._ids)} "
                f"pivots, the first is {self._ids[0]!r}"
            )
        return pivot


def core_below(wrapper: str, env: gym.Env[str, str]) -> PivotEnv:
    """Return the PivotEnv at the core of an environment that starts at pivots.

    Args:
        wrapper: What needs it, for the message.
        env: An environment with a PivotResetWrapper inside.

    Raises:
        ValueError: One of the two is missing inside ``env``.
    """
    if not env.has_wrapper_attr("pivot"):
        raise ValueError(f"{wrapper} needs a PivotResetWrapper inside, got {env}")
    if not isinstance(env.unwrapped, PivotEnv):
        raise ValueError(f"{wrapper} needs a PivotEnv at the core, got {env.unwrapped}")
    return env.unwrapped


def _brought(pivot: object) -> Pivot:
    if not isinstance(pivot, Pivot):
        raise TypeError(f"options['pivot'] must be a Pivot, got {type(pivot).__name__}")
    return pivot


def _probabilities(weights: Sequence[float] | None, count: int) -> np.ndarray | None:
    if weights is None:
        return None
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (count,):
        raise ValueError(f"weights must be {count} numbers, one a pivot, got shape {values.shape}")
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise ValueError("weights must be finite and >= 0, and not all 0")
    probabilities: np.ndarray = values / values.sum()
    return probabilities
