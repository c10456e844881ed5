"""Where an episode starts, how it is rewarded, and what is kept of it."""

from wrappers.attempt import Attempt, Verifier
from wrappers.functional_reward import FunctionalReward
from wrappers.pivot import Pivot, Profile, read_pivots, write_pivots
from wrappers.pivot_reset import PivotResetWrapper
from wrappers.pivot_reward import PivotReward
from wrappers.progress_reward import ProgressReward
from wrappers.record_trajectory import RecordTrajectory
from wrappers.remembered_steps import RememberedSteps
from wrappers.step_memory import StepMemory

__all__ = [
    "Attempt",
    "FunctionalReward",
    "Pivot",
    "PivotResetWrapper",
    "PivotReward",
    "Profile",
    "ProgressReward",
    "RecordTrajectory",
    "RememberedSteps",
    "StepMemory",
    "Verifier",
    "read_pivots",
    "write_pivots",
]
