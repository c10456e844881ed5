"""Release pairs: tasks whose solution is what a project changed from one release to the next.

The old release's code meets the new release's tests: tests that fail on the old and pass on the
new code are FAIL_TO_PASS. The agent sees the old tests; the new ones come with the grader.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pivot_envs.coding.gold import Patch
from pivot_envs.coding.grading import graded_state
from pivot_envs.coding.source import PackageSource
from pivot_envs.coding.task import CodingTask, Difficulty, Environment, Release
from pivot_envs.coding.tasks.changelog import changelog_entry, without_code
from pivot_envs.coding.tasks.issue import describe_failure
from pivot_envs.coding.tasks.release_diff import ReleaseDiff, used_names
from pivot_envs.coding.tasks.requirements import needed_by_tests
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import SourceError
from pivot_envs.sandbox.base import Sandbox, SandboxState

_FAILED = ("failed", "error")


class SuiteTimeoutError(SourceError):
    """The tests did not end in time; they may on a machine with less to do."""


@dataclass(frozen=True, slots=True)
class PairConfig:
    """Which pairs of releases make a task."""

    max_files: int = 12
    """Most files of the package that the solution may change."""
    max_changed_lines: int = 250
    """Most lines that it may change."""
    max_suite_s: float = 120.0
    """Most seconds that the new release's tests may take."""
    workers: int = 2
    """Pairs at work at the same time."""


def build_pair(
    old: PackageSource,
    new: PackageSource,
    make_sandbox: Callable[[], Sandbox],
    config: PairConfig | None = None,
) -> CodingTask:
    """Make the task whose solution leads from one release of a package to another.

    Each side is run once: validation finds tests that are flaky.

    Args:
        old: The release that the agent gets.
        new: The release that the solution comes from.
        make_sandbox: Makes a sandbox that has not been started.
        config: What is accepted.

    Raises:
        SourceError: The two make no task; the message says why.
        SandboxError: A sandbox failed.
    """
    config = config or PairConfig()
    change = ReleaseDiff.between(old, new)
    flaw = change.flaw or _size_flaw(change, config)
    if flaw is not None:
        raise SourceError(flaw)
    task = CodingTask(
        task_id=f"{old.name}-{old.version}/{new.version}",
        issue="",
        origin=Release(old.name, old.version, old.sha256),
        fail_to_pass=("unknown",),
        pass_to_pass=(),
        gold=Patch(change.code),
        test_patch=change.tests,
        # Not what they took here: the task must not depend on the machine that built it.
        environment=Environment(timeout_s=config.max_suite_s),
        licence=new.licence or old.licence,
        provenance=f"change of {old.name} from its source release {old.version} to {new.version}",
    )
    with make_sandbox() as sandbox:
        outcome = _compare(sandbox, Workspace.of(old), task, new, config.max_suite_s)
    return _finish(task, new, change, outcome, Workspace.of(old))


@dataclass(frozen=True, slots=True)
class _Outcome:
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    described: str
    """A FAIL_TO_PASS test that can be collected, if one can."""
    output: str
    """What pytest printed about it."""

    @property
    def named(self) -> tuple[str, ...]:
        """All tests that the task names."""
        return (*self.fail_to_pass, *self.pass_to_pass)


def _size_flaw(change: ReleaseDiff, config: PairConfig) -> str | None:
    if not change.code:
        return "the package's own code is the same in both"
    if not change.tests:
        return "no test differs"
    if change.changed_files > config.max_files or change.changed_lines > config.max_changed_lines:
        return (
            f"the change is too large: {change.changed_lines} lines of {change.changed_files} "
            f"files, at most {config.max_changed_lines} of {config.max_files} are accepted"
        )
    return None


def _compare(
    sandbox: Sandbox,
    workspace: Workspace,
    task: CodingTask,
    new: PackageSource,
    max_suite_s: float,
) -> _Outcome:
    """Run the new tests on the old and the new code."""
    graders = workspace.graders_state(task)
    states = [
        graded_state(state, workspace, graders)
        for state in (workspace.state, workspace.solved_state(task))
    ]
    solved = _outcomes(sandbox, states[1], new.test_dirs, max_suite_s)
    passing = [test for test, outcome in solved.items() if outcome == "passed"]
    if not passing:
        raise SourceError(f"none of the tests passes on {new.version} here")
    before = _outcomes(sandbox, states[0], new.test_dirs, max_suite_s)
    # A test that cannot be collected is not reported; its absence counts as a failure.
    outcomes = {test: before.get(test, "failed") for test in passing}
    fail_to_pass = tuple(test for test, outcome in outcomes.items() if outcome in _FAILED)
    if not fail_to_pass:
        raise SourceError(f"all tests that pass on {new.version} pass on the old code too")
    described = next((test for test in fail_to_pass if test in before), fail_to_pass[0])
    sandbox.load(states[0])
    report = sandbox.run_tests([described], timeout_s=max_suite_s)
    pass_to_pass = tuple(test for test, outcome in outcomes.items() if outcome == "passed")
    return _Outcome(fail_to_pass, pass_to_pass, described, report.output)


def _outcomes(
    sandbox: Sandbox, state: SandboxState, places: tuple[str, ...], timeout_s: float
) -> Mapping[str, str]:
    sandbox.load(state)
    report = sandbox.run_tests(places, timeout_s=timeout_s)
    if report.timed_out:
        raise SuiteTimeoutError(f"the tests take longer than {timeout_s:g} s")
    return report.outcomes


def _finish(
    task: CodingTask,
    new: PackageSource,
    change: ReleaseDiff,
    outcome: _Outcome,
    workspace: Workspace,
) -> CodingTask:
    return replace(
        task,
        issue=_issue(new, change, outcome, workspace),
        fail_to_pass=outcome.fail_to_pass,
        pass_to_pass=outcome.pass_to_pass,
        environment=replace(
            task.environment, requirements=needed_by_tests(Workspace.of(new), outcome.named)
        ),
        difficulty=Difficulty(
            files=change.changed_files,
            lines=change.changed_lines,
            tests=len(outcome.fail_to_pass),
        ),
    )


def _issue(new: PackageSource, change: ReleaseDiff, outcome: _Outcome, workspace: Workspace) -> str:
    """Write the issue from the changelog, else from a failing test; never from the change."""
    entry = without_code(changelog_entry(new.changelog, new.version), change.added)
    count = len(outcome.fail_to_pass)
    tests = "1 test" if count == 1 else f"{count} tests"
    if entry:
        parts = [
            f"{workspace.title} lacks changes of release {new.version}, which {tests} of that "
            "release, not in the working tree, find missing. Its changelog says:",
            entry,
        ]
    else:
        described = describe_failure(
            workspace,
            outcome.described,
            outcome.output,
            lambda text: without_code(text, change.added) != text.strip(),
        )
        parts = [
            f"{workspace.title}: {tests} of release {new.version}, not in the working tree, "
            "fail. One of them:",
            described,
        ]
    names = used_names(change.new_names, _test_texts(new, outcome.fail_to_pass))
    if names:
        parts.append(f"New public names that the tests use: {', '.join(names)}")
    return "\n\n".join(parts)


def _test_texts(source: PackageSource, tests: Sequence[str]) -> dict[str, str]:
    paths = {test.partition("::")[0] for test in tests} & set(source.files)
    return {path: source.files[path].decode("utf-8", errors="replace") for path in paths}
