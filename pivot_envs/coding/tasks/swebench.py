"""SweBench, the task source of files in SWE-bench's format.

The workspace is the repository at the instance's base commit, with the history that leads there,
from a clone or a git bundle that lies on this machine. Patches are applied outside of the box; it
sees neither of them.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from pivot_envs.coding.diff import parse_diff
from pivot_envs.coding.gold import BugPatch, Patch
from pivot_envs.coding.source import find_test_dirs
from pivot_envs.coding.task import CodingTask, Environment, Repository
from pivot_envs.coding.task_file import LoadedTasks
from pivot_envs.coding.tasks.instance import (
    FieldError,
    Instance,
    InstanceFile,
    RowProblem,
    read_instances,
)
from pivot_envs.coding.tasks.instance_image import find_images
from pivot_envs.coding.tasks.pytest_names import pytest_name
from pivot_envs.coding.tasks.repository import (
    Checkout,
    check_out,
    find_repository,
    object_kinds,
)
from pivot_envs.coding.workspace import Workspace, make_state
from pivot_envs.errors import SourceError, TaskError
from pivot_envs.sandbox.base import WORKSPACE

_SRC = "src"
_IN_SRC = ("-o", f"pythonpath={_SRC}")
_SHELL_IN_SRC = f'declare -x PYTHONPATH="{WORKSPACE}/{_SRC}${{PYTHONPATH:+:$PYTHONPATH}}"'
"""What an installation would do for projects whose packages lie in ``src``."""

REPOSITORIES = "repositories"
"""Folder beside a file of instances, in which its clones and bundles are looked for."""


class SweBench:
    """The instances of one file, and the repositories that they are about."""

    def __init__(self, argument: str) -> None:
        """Name the file, and perhaps the folder of clones and bundles; nothing is read yet.

        Args:
            argument: ``FILE`` or ``FILE:FOLDER``; by default ``repositories`` beside the file.
        """
        file, _, folder = argument.partition(":")
        self._path = Path(file)
        self._repositories = Path(folder) if folder else self._path.parent / REPOSITORIES

    @cached_property
    def instances(self) -> InstanceFile:
        """What the file holds.

        Raises:
            TaskError: The file cannot be read.
        """
        return read_instances(self._path)

    def load(self) -> LoadedTasks:
        """Read the file; a row that cannot be used is named with its line and field.

        Raises:
            TaskError: The file cannot be read.
        """
        found = self.instances
        problems = [str(problem) for problem in found.problems]
        objects = _Objects(self._repositories, found.instances)
        images = find_images(found.instances)
        tasks: list[CodingTask] = []
        for instance in found.instances:
            try:
                objects.check(instance)
                # An image that the row names is needed; if it is absent, a box says so.
                image = images.get(instance.instance_id) or instance.image or None
                has_src = objects.has(instance, _SRC)
                options = _IN_SRC if has_src else ()
                tasks.append(make_task(instance, Environment(image=image, options=options)))
            except FieldError as error:
                place = found.places[instance.instance_id]
                problems.append(str(RowProblem(place, error.field, error.reason)))
        return LoadedTasks(tuple(tasks), tuple(problems))

    def workspace(self, task: CodingTask) -> Workspace:
        """Read the task's commit, and the history before it.

        Raises:
            SourceError: The repository or the commit is not there.
            TaskError: The task is of another source.
        """
        origin = task.origin
        if not isinstance(origin, Repository):
            raise TaskError(f"{task.task_id}: its workspace is no repository")
        path = find_repository(self._repositories, origin.repo)
        return repository_workspace(check_out(path, origin.repo, origin.base_commit))


def make_task(instance: Instance, environment: Environment) -> CodingTask:
    """Return an instance as a task.

    Args:
        instance: The row.
        environment: What its tests run in.

    Raises:
        FieldError: A patch is damaged or changes binary files, or pytest knows no such test.
    """
    paths = _changed_paths("test_patch", instance.test_patch)
    if not _changed_paths("patch", instance.patch):
        raise FieldError("patch", "changes no file")
    return CodingTask(
        task_id=instance.instance_id,
        issue=instance.problem_statement,
        origin=Repository(instance.repo, instance.base_commit),
        fail_to_pass=_pytest_names("FAIL_TO_PASS", instance.fail_to_pass, paths),
        pass_to_pass=_pytest_names("PASS_TO_PASS", instance.pass_to_pass, paths),
        gold=BugPatch(instance.patch) if instance.patch_is_bug else Patch(instance.patch),
        test_patch=instance.test_patch,
        environment=environment,
        provenance=f"SWE-bench row {instance.instance_id} of {instance.repo}",
        split="test",
    )


def repository_workspace(checkout: Checkout) -> Workspace:
    """Return the workspace of a commit: all of it is the agent's, but tests and history."""
    state = make_state({**checkout.files, **checkout.history}, checkout.modes, checkout.links)
    if any(path.startswith(f"{_SRC}/") for path in checkout.files):
        state = replace(state, shell=_SHELL_IN_SRC)
    test_dirs = (*find_test_dirs(checkout.files), ".git")
    return Workspace(checkout.repo, checkout.commit, state, (".",), test_dirs)


def environment_of(workspace: Workspace) -> Environment:
    """Return what a repository's tests run in, where it has no image of its own."""
    has_src = any(entry.path == _SRC for entry in workspace.state.files)
    return Environment(options=_IN_SRC if has_src else ())


class _Objects:
    """What the repositories of some instances hold."""

    def __init__(self, repositories: Path, instances: Iterable[Instance]) -> None:
        commits: defaultdict[str, set[str]] = defaultdict(set)
        for instance in instances:
            commits[instance.repo].add(instance.base_commit)
        self._paths: dict[str, Path] = {}
        self._kinds: dict[str, dict[str, str]] = {}
        self._errors: dict[str, SourceError] = {}
        for repo, names in commits.items():
            try:
                self._paths[repo] = find_repository(repositories, repo)
                asked = [name for each in names for name in (each, f"{each}:{_SRC}")]
                self._kinds[repo] = object_kinds(self._paths[repo], asked)
            except SourceError as error:
                self._errors[repo] = error

    def check(self, instance: Instance) -> None:
        """Raise FieldError if the instance's repository or commit is not there."""
        if instance.repo in self._errors:
            raise FieldError("repo", str(self._errors[instance.repo]))
        if self._kinds[instance.repo].get(instance.base_commit) != "commit":
            path = self._paths[instance.repo]
            reason = f"{path} has no commit {instance.base_commit}; fetch it first"
            raise FieldError("base_commit", reason)

    def has(self, instance: Instance, folder: str) -> bool:
        """Tell whether the instance's commit has a folder."""
        return self._kinds[instance.repo].get(f"{instance.base_commit}:{folder}") == "tree"


def _changed_paths(field: str, diff: str) -> tuple[str, ...]:
    try:
        return tuple(file.path for file in parse_diff(diff) if file.path is not None)
    except TaskError as error:
        raise FieldError(field, str(error)) from error


def _pytest_names(field: str, tests: Iterable[str], test_files: tuple[str, ...]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for number, test in enumerate(tests):
        name = pytest_name(test, test_files)
        if name is None:
            reason = f"pytest knows no test by the name {test!r:.80}; other runners are not used"
            raise FieldError(f"{field}.{number}", reason)
        names[name] = None
    return tuple(names)
