"""What the episodes of each group gave, of all processes."""

from typing import Any

from pivot_agents.processes import Processes
from pivot_agents.trainers.groups import by_group


class Two(Processes):
    """The first of two processes, which knows what the other would send."""

    other: Any = None

    def gather(self, item: Any) -> list[Any]:
        return [item, self.other]


def test_the_values_of_a_group_are_those_of_its_episodes() -> None:
    values = [["a"], [], ["b", "c"], ["d"]]
    assert by_group(values, Processes(), groups=2, group_size=2) == [["a"], ["b", "c", "d"]]


def test_groups_of_two_processes_come_in_the_order_in_which_they_were_dealt_out() -> None:
    processes = Two()
    object.__setattr__(processes, "other", [["group 1"]])
    mine = [["group 0"], [], ["group 2"], []]
    expected = [["group 0"], ["group 1"], ["group 2"]]
    assert by_group(mine, processes, groups=3, group_size=2) == expected
