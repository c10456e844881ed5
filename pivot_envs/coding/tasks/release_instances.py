"""SWE-bench rows of what releases repaired, with the tests that tell old from new."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pivot_envs.coding.task import CodingTask, Environment
from pivot_envs.coding.tasks.instance import FieldError, Instance
from pivot_envs.coding.tasks.release_history import (
    ReleaseChange,
    ReleaseHistory,
    ReleaseTree,
    release_change,
)
from pivot_envs.coding.tasks.repository import check_out
from pivot_envs.coding.tasks.swebench import environment_of, make_task, repository_workspace
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import TaskError
from pivot_envs.sandbox.base import Sandbox, SandboxState

MOST_CHANGED_LINES = 600
"""Lines of a patch; a release that changed more is no single task."""

_RUNS = 2
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class ReleaseInstance:
    """What became of two releases that follow each other."""

    old: str
    """Version of the base commit."""
    new: str
    instance: Instance | None = None
    reason: str = ""
    """Why there is no instance."""


def make_instances(
    history: ReleaseHistory, repository: Path, sandbox: Sandbox
) -> Iterator[ReleaseInstance]:
    """Make a row of each two releases that follow each other.

    Tests that fail with the old code and pass with the new one, on the new tests, twice each, are
    FAIL_TO_PASS; those that pass with both are PASS_TO_PASS.

    Args:
        history: The releases.
        repository: Where its repository lies.
        sandbox: A started sandbox, in which the tests run.

    Raises:
        SandboxError: The sandbox failed.
        SourceError: The repository cannot be read.
    """
    pairs = zip(history.trees, history.trees[1:], history.commits, strict=False)
    for old, new, commit in pairs:
        found = ReleaseInstance(old.version, new.version)
        change = release_change(old, new)
        reason = _unfit(change)
        if not reason:
            workspace = repository_workspace(check_out(repository, history.repo, commit))
            draft = _draft(history, commit, old, new, change)
            try:
                instance = _with_tests(draft, change, workspace, sandbox)
            except (FieldError, TaskError) as error:
                reason = str(error)
            else:
                found = replace(found, instance=instance)
                reason = "" if instance.fail_to_pass else "no test tells old from new"
        yield replace(found, instance=None, reason=reason) if reason else found


def _unfit(change: ReleaseChange) -> str:
    if not change.patch or not change.test_files:
        return "code or tests did not change"
    if change.patch.count("\n") > MOST_CHANGED_LINES:
        return f"the code changed by more than {MOST_CHANGED_LINES} lines"
    return "" if change.statement else "no changelog says what changed"


def _draft(
    history: ReleaseHistory,
    commit: str,
    old: ReleaseTree,
    new: ReleaseTree,
    change: ReleaseChange,
) -> Instance:
    """Return the row without its tests."""
    statement = f"{new.name} should do what its next release says:\n\n{change.statement}"
    return Instance(
        instance_id=f"{history.repo.replace('/', '__')}-{new.version}",
        repo=history.repo,
        base_commit=commit,
        problem_statement=statement,
        patch=change.patch,
        test_patch=change.test_patch,
        fail_to_pass=(),
        pass_to_pass=(),
        version=old.version,
        environment_setup_commit=commit,
    )


def _with_tests(
    draft: Instance, change: ReleaseChange, workspace: Workspace, sandbox: Sandbox
) -> Instance:
    environment = environment_of(workspace)
    task = make_task(replace(draft, fail_to_pass=("placeholder.py",)), environment)
    graders = workspace.graders_state(task)
    new_code = workspace.solved_state(task)
    solved = _merged(graders, new_code, task)
    before = _outcomes(sandbox, graders, change.test_files, environment)
    after = _outcomes(sandbox, solved, change.test_files, environment)
    steady = [test for test, outcome in after.items() if outcome == "passed"]
    return replace(
        draft,
        fail_to_pass=tuple(test for test in steady if before.get(test) in _NOT_PASSED),
        pass_to_pass=tuple(test for test in steady if before.get(test) == "passed"),
    )


_NOT_PASSED = (None, "failed", "error")


def _merged(graders: SandboxState, solved: SandboxState, task: CodingTask) -> SandboxState:
    """Return the solved files with the grader's tests."""
    hidden = task.test_paths()
    entries = {entry.path: entry for entry in solved.files if entry.path not in hidden}
    entries.update({entry.path: entry for entry in graders.files if entry.path in hidden})
    folders = {entry.path: entry for entry in graders.files if entry.kind == "directory"}
    files = sorted({**folders, **entries}.values(), key=lambda entry: entry.path)
    return SandboxState(tuple(files), "", {**solved.blobs, **graders.blobs})


def _outcomes(
    sandbox: Sandbox, state: SandboxState, test_files: Sequence[str], environment: Environment
) -> Mapping[str, str]:
    """Return each test's outcome, where all runs agree on it; a flaky test's is ``flaky``."""
    merged: dict[str, str] = {}
    for run in range(_RUNS):
        sandbox.load(replace(state, shell=""))
        options = ("--tb=no", *environment.options)
        report = sandbox.run_tests(test_files, timeout_s=_TIMEOUT_S, options=options)
        # In the order of the run: tests may count on those before them.
        for test in {**report.outcomes, **merged}:
            outcome = report.outcomes.get(test, "missing")
            known = merged.get(test, outcome if run == 0 else "missing")
            merged[test] = outcome if outcome == known else "flaky"
    return merged
