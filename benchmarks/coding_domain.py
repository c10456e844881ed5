"""CodingDomain, the comparison's bugs in real packages."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym

from benchmarks.baselines import RandomEditor, WithoutListing, do_nothing
from benchmarks.corpus_builder import OUTPUT_CHARS
from benchmarks.protocol import Protocol, TaskDraw, draw_tasks
from benchmarks.run_directory import fingerprint
from pivot_agents.env_host import MakeEnv
from pivot_agents.expert import CodingExpert
from pivot_agents.llm import LLMPolicy
from pivot_agents.policy import Policy
from pivot_envs.coding.task_file import default_tasks_path, read_tasks
from pivot_envs.coding.toolbox import TOOLS


class CodingDomain:
    """``pivot/Coding-v0`` on a task file."""

    name = "coding"
    tools = TOOLS
    sets: Mapping[str, str] = {
        "test": "unseen mutations of known functions",
        "unseen": "functions that were never trained on",
    }

    def __init__(self, tasks_path: Path | None = None) -> None:
        """Read a task file; the shipped one by default.

        Raises:
            TaskError: The file is missing or damaged.
        """
        self._path = tasks_path
        self._file = tasks_path or default_tasks_path()
        self._tasks = {task.task_id: task for task in read_tasks(self._file)}

    def draw(self, protocol: Protocol) -> TaskDraw:
        """Draw from the file's splits; see ``draw_tasks``."""
        return draw_tasks(self._tasks.values(), protocol)

    def env_maker(self, task_ids: Sequence[str], protocol: Protocol) -> MakeEnv:
        """Return what makes one coding environment, on an embedded box."""
        return partial(
            gym.make,
            "pivot/Coding-v0",
            tasks=None if self._path is None else str(self._path),
            task_ids=tuple(task_ids),
            max_turns=protocol.max_turns,
            max_output_chars=OUTPUT_CHARS,
            disable_env_checker=True,
        )

    def demonstrator(self, seed: int) -> Policy:
        """Return the expert, which knows the bugs."""
        return CodingExpert(self._tasks.__getitem__, seed=seed)

    def baselines(self, base: LLMPolicy) -> Mapping[str, Callable[[], Policy]]:
        """Return random edits, and the base that sees no line of code."""
        return {
            "random edit": RandomEditor,
            "base, listing withheld": lambda: WithoutListing(base),
        }

    def nothing(self) -> Policy:
        """Return the policy that submits at once."""
        return do_nothing()

    def identity(self) -> Mapping[str, Any]:
        """Return the task file's hash."""
        return {"tasks_sha256": fingerprint([self._file])}
