"""Domain, what a comparison runs on: environments, tasks, a demonstrator, honest baselines."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from benchmarks.protocol import Protocol as Numbers
from benchmarks.protocol import TaskDraw
from pivot_agents.env_host import MakeEnv
from pivot_agents.llm import LLMPolicy
from pivot_agents.policy import Policy
from pivot_envs import ToolSpec

DomainName = Literal["coding", "web"]

BASE_MODELS: Mapping[DomainName, str] = {
    "coding": "benchmarks/models/base",
    "web": "benchmarks/models/web",
}
"""The shipped model that the arms start from, by domain."""


class Domain(Protocol):
    """One kind of environment and its tasks."""

    @property
    def name(self) -> str:
        """Short name, part of the results."""

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """What the agent can call."""

    @property
    def sets(self) -> Mapping[str, str]:
        """What the tasks of ``test`` and of ``unseen`` are, in words."""

    def draw(self, protocol: Numbers) -> TaskDraw:
        """Draw the tasks of every set.

        Raises:
            TaskError: A set is empty.
        """

    def env_maker(self, task_ids: Sequence[str], protocol: Numbers) -> MakeEnv:
        """Return what makes one environment that draws from the named tasks, in any process."""

    def demonstrator(self, seed: int) -> Policy:
        """Return the scripted expert."""

    def baselines(self, base: LLMPolicy) -> Mapping[str, Callable[[], Policy]]:
        """Return what a policy that reads the state has to beat, by name.

        ``base`` samples as it does in the evaluations at T=1.
        """

    def nothing(self) -> Policy:
        """Return the policy that ends an episode at once."""

    def identity(self) -> Mapping[str, Any]:
        """Return JSON-able data that decides the tasks."""


def find_domain(name: DomainName, tasks_path: Path | None = None) -> Domain:
    """Return a domain by name; ``tasks_path`` is a coding task file, the shipped one if ``None``.

    Raises:
        TaskError: The task file is damaged.
        ValueError: A task file is given for another domain than coding.
    """
    if name == "coding":
        from benchmarks.coding_domain import CodingDomain

        return CodingDomain(tasks_path)
    if tasks_path is not None:
        raise ValueError("--tasks names a file of coding tasks; leave it out with --domain web")
    from benchmarks.web_domain import WebDomain

    return WebDomain()
