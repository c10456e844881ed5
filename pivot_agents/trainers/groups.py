"""What the episodes of each group gave, gathered from all processes that train together."""

from collections.abc import Sequence
from typing import TypeVar

from pivot_agents.processes import Processes
from pivot_envs.trajectory import REACHED, Trajectory
from wrappers import Pivot

Item = TypeVar("Item")


def rewards(episodes: Sequence[Trajectory]) -> list[list[float]]:
    """Return the reward of each episode, as far as it is scored."""
    return [[one.return_] if one.is_scored else [] for one in episodes]


def reached(episodes: Sequence[Trajectory]) -> list[list[Pivot]]:
    """Return the states to go on from that each episode reached (``info["reached"]``)."""
    states = [[turn.info.get(REACHED) for turn in one.transitions] for one in episodes]
    return [[one for one in each if one is not None] for each in states]


def by_group(
    values: Sequence[Sequence[Item]], processes: Processes, *, groups: int, group_size: int
) -> list[list[Item]]:
    """Return the values of each group, those of all processes in the order of the groups.

    Args:
        values: Those of each episode of this process, of which each has any number.
        processes: Who trains together; groups are dealt out to them in turn.
        groups: Groups of all processes.
        group_size: Episodes of a group.
    """
    mine = [
        [value for one in values[at : at + group_size] for value in one]
        for at in range(0, len(values), group_size)
    ]
    shares = processes.gather(mine)
    count = len(shares)
    return [shares[number % count][number // count] for number in range(groups)]
