"""MutatedRelease: makes tasks of bugs in a release, once it is known what its tests say."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pivot_envs.coding.gold import Bug, Mutation
from pivot_envs.coding.source import PackageSource
from pivot_envs.coding.task import CodingTask, Difficulty, Environment, Release
from pivot_envs.coding.tasks.coverage import SuiteRecord
from pivot_envs.coding.tasks.issue import write_issue
from pivot_envs.coding.tasks.mutations import SourceFunction
from pivot_envs.coding.tasks.requirements import needed_by_tests
from pivot_envs.coding.workspace import Workspace

_MAX_SUSPECTS = 6


@dataclass(frozen=True, slots=True)
class MutatedRelease:
    """A release whose bugs become tasks."""

    source: PackageSource
    workspace: Workspace
    record: SuiteRecord
    """What its tests do when nothing is broken."""

    def task(
        self,
        mutations: Sequence[Mutation],
        functions: Sequence[SourceFunction],
        failing: Sequence[str],
        passing: Sequence[str],
        output: str,
    ) -> CodingTask:
        """Return the task of a bug.

        Args:
            mutations: The bug.
            functions: The function of each mutation.
            failing: Tests that fail with it; the issue describes the first ones.
            passing: Tests that pass with it.
            output: What pytest printed about the tests that the issue describes.
        """
        bug = Bug(
            tuple(mutations),
            tuple(f"{each.path}::{each.name}" for each in functions),
            sum({each.name: each.body_lines for each in functions}.values()),
        )
        return self.task_of(bug, failing, passing, output)

    def task_of(
        self, bug: Bug, failing: Sequence[str], passing: Sequence[str], output: str
    ) -> CodingTask:
        """Return the task of a bug; see ``task``."""
        source = self.source
        return CodingTask(
            task_id=f"{source.name}-{source.version}/{self._place(bug)}/{_digest(bug)}",
            issue=write_issue(self.workspace, bug.mutations, failing, output),
            origin=Release(source.name, source.version, source.sha256),
            gold=bug,
            fail_to_pass=tuple(failing),
            pass_to_pass=tuple(passing),
            suspects=self.record.suspects(self.workspace, failing, limit=_MAX_SUSPECTS),
            environment=Environment(
                requirements=needed_by_tests(self.workspace, (*failing, *passing))
            ),
            licence=source.licence,
            provenance=f"mutation of the source release {source.name} {source.version}",
            difficulty=Difficulty(
                files=len({mutation.path for mutation in bug.mutations}),
                lines=sum(map(_lines, bug.mutations)),
                tests=len(failing),
            ),
        )

    def _place(self, bug: Bug) -> str:
        path, _, name = bug.function.partition("::")
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for top in self.source.package_dirs:
            module = module.removeprefix(f"{top}.")
        more = len(bug.mutations) - 1
        return f"{module}.{name}+{more}" if more else f"{module}.{name}"


def _digest(bug: Bug) -> str:
    parts = [asdict(mutation) for mutation in bug.mutations]
    canonical = json.dumps(parts[0] if len(parts) == 1 else parts, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def _lines(mutation: Mutation) -> int:
    """Count the lines that the solution adds or replaces, or only removes."""
    return max(1, mutation.original.count("\n"), mutation.mutated.count("\n"))
