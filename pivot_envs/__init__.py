"""Gymnasium environments whose mid-episode states can be saved and resumed.

Importing registers ``pivot/Coding-v0``, ``pivot/Drill-v0`` and ``pivot/Web-v0``, and starts
nothing.
"""

import gymnasium as gym

from pivot_envs.core import Effect, PivotEnv, ToolResult
from pivot_envs.snapshot import Message, Snapshot
from pivot_envs.tools import ToolCall, ToolSpec

__all__ = [
    "Effect",
    "Message",
    "PivotEnv",
    "Snapshot",
    "ToolCall",
    "ToolResult",
    "ToolSpec",
]

_ENTRY_POINTS = {
    "pivot/Coding-v0": "pivot_envs.coding.env:CodingEnv",
    "pivot/Drill-v0": "pivot_envs.drill:DrillEnv",
    "pivot/Web-v0": "pivot_envs.web.env:WebEnv",
}

for _env_id, _entry_point in _ENTRY_POINTS.items():
    if _env_id not in gym.registry:
        gym.register(_env_id, entry_point=_entry_point)
