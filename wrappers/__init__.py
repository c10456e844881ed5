"""Where an episode starts, and what is kept of it."""

from wrappers.functional_reward import FunctionalReward
from wrappers.pivot import Pivot, Profile, read_pivots, write_pivots
from wrappers.pivot_reset import PivotResetWrapper
from wrappers.record_trajectory import RecordTrajectory

__all__ = [
    "FunctionalReward",
    "Pivot",
    "PivotResetWrapper",
    "Profile",
    "RecordTrajectory",
    "read_pivots",
    "write_pivots",
]
