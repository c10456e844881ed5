"""Where an episode starts, how it is rewarded, and what is kept of it."""

from wrappers.attempt import Attempt, Verifier
from wrappers.functional_reward import FunctionalReward
from wrappers.pivot import Pivot, Profile, read_pivots, write_pivots
from wrappers.pivot_reset import PivotResetWrapper
from wrappers.pivot_reward import PivotReward
from wrappers.record_trajectory import RecordTrajectory

__all__ = [
    "Attempt",
    "FunctionalReward",
    "Pivot",
    "PivotResetWrapper",
    "PivotReward",
    "Profile",
    "RecordTrajectory",
    "Verifier",
    "read_pivots",
    "write_pivots",
]
