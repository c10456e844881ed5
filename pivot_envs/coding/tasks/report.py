"""ValidationReport: which tasks of a source are valid, and why the others were dropped."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.task_file import LoadedTasks
from pivot_envs.coding.tasks.validation import Validation, without_flaky

_COLUMNS = ("package", "tasks", "valid", "oracle", "no_op", "flaky")


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """The outcome of a validation."""

    valid: tuple[CodingTask, ...]
    """Valid tasks, without their flaky tests."""
    validations: tuple[tuple[str, Validation], ...]
    """Package and verdict of every task."""
    problems: tuple[str, ...]
    """What the sources left out before any test was run."""

    @classmethod
    def of(cls, loaded: LoadedTasks, validations: Sequence[Validation]) -> "ValidationReport":
        """Put together what a source gave and what became of it."""
        pairs = list(zip(loaded.tasks, validations, strict=True))
        return cls(
            valid=tuple(without_flaky(task, each) for task, each in pairs if each.is_valid),
            validations=tuple((task.package, each) for task, each in pairs),
            problems=loaded.problems,
        )

    @classmethod
    def joined(cls, reports: Iterable["ValidationReport"]) -> "ValidationReport":
        """Return one report of several sources."""
        reports = list(reports)
        return cls(
            tuple(task for report in reports for task in report.valid),
            tuple(each for report in reports for each in report.validations),
            tuple(problem for report in reports for problem in report.problems),
        )

    @property
    def total(self) -> int:
        """Tasks that were validated."""
        return len(self.validations)

    @property
    def dropped(self) -> tuple[Validation, ...]:
        """Verdicts of the tasks that are not valid."""
        return tuple(each for _, each in self.validations if not each.is_valid)

    @property
    def flaky(self) -> tuple[tuple[str, str], ...]:
        """Task and test of every flaky test that a valid task lost."""
        return tuple(
            (each.task_id, test)
            for _, each in self.validations
            if each.is_valid
            for test in each.flaky
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Return per package: tasks, valid ones, mean rewards of these, and flaky tests."""
        by_package: defaultdict[str, list[Validation]] = defaultdict(list)
        for package, each in self.validations:
            by_package[package].append(each)
        return [
            (
                package,
                str(len(validations)),
                str(sum(each.is_valid for each in validations)),
                _mean([each.oracle for each in validations if each.is_valid]),
                _mean([each.no_op for each in validations if each.is_valid]),
                str(sum(len(each.flaky) for each in validations)),
            )
            for package, validations in by_package.items()
        ]

    def as_json(self) -> str:
        """Return the report as JSON text."""
        report = {
            "tasks": self.total,
            "valid": len(self.valid),
            "packages": [
                dict(
                    zip(("package", "tasks", "valid", "oracle", "no_op", "flaky"), row, strict=True)
                )
                for row in self.rows()
            ],
            "dropped": [asdict(each) for each in self.dropped],
            "flaky": [{"task_id": task_id, "test": test} for task_id, test in self.flaky],
            "left_out": list(self.problems),
        }
        return json.dumps(report, indent=1) + "\n"


def _mean(rewards: Sequence[float | None]) -> str:
    known = [reward for reward in rewards if reward is not None]
    return f"{sum(known) / len(known):.4f}" if known else "-"
