"""Sources that build their tasks from source releases, and keep what they built in the cache.

``mutations:NAME==VERSION,…`` and ``releases:NAME==OLD..NEW..NEWER,…``, each with options after a
question mark, as in ``mutations:sqlparse==0.5.3?per_function=4&max_lines=40``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable
from urllib.parse import parse_qsl

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version
from pydantic import TypeAdapter, ValidationError

from pivot_envs.coding.source import fetch_source
from pivot_envs.coding.task import CodingTask, as_json
from pivot_envs.coding.task_file import LoadedTasks, parse_task
from pivot_envs.coding.task_source import open_workspace
from pivot_envs.coding.tasks.builder import BuildConfig, build_tasks
from pivot_envs.coding.tasks.cache import BuildCache, content_key
from pivot_envs.coding.tasks.releases import PairConfig, SuiteTimeoutError, build_pair
from pivot_envs.coding.tasks.splits import assign_splits
from pivot_envs.coding.tasks.workers import make_build_sandbox, run_all
from pivot_envs.coding.workspace import Workspace
from pivot_envs.errors import SourceError, TaskError

Config = TypeVar("Config", BuildConfig, PairConfig)
_RULES = 2
"""Grows when the same releases can give other tasks."""


@runtime_checkable
class BuiltSource(Protocol):
    """A task source that takes its time and tells how far it is."""

    def build(self, progress: "NamedProgress | None" = None) -> LoadedTasks:
        """Build the tasks, or take them from the cache; see ``TaskSource.load``."""
        ...

    def workspace(self, task: CodingTask) -> Workspace:
        """Return the files that a task begins from; see ``TaskSource.workspace``."""
        ...


class NamedProgress(Protocol):
    """Told what is being built and how far it is."""

    def __call__(self, title: str, done: int, total: int) -> None:
        """Note that ``done`` of ``total`` pieces of ``title`` are finished."""
        ...


class MutationTasks:
    """Injected bugs of any packages whose source releases carry tests."""

    def __init__(
        self,
        argument: str,
        config: BuildConfig | None = None,
        *,
        cache_dir: str | Path | None = None,
    ) -> None:
        """Name the releases.

        Args:
            argument: ``NAME==VERSION,…``, with options of ``BuildConfig`` after a question mark;
                without a version, the newest.
            config: What to build where the argument has no options.
            cache_dir: Where releases and results are kept.

        Raises:
            TaskError: The argument is damaged.
        """
        names, self._config = _parse(argument, config or BuildConfig())
        self._releases = [_release(name) for name in names]
        self._cache_dir = cache_dir

    def load(self) -> LoadedTasks:
        """Build the tasks, or take them from the cache."""
        return self.build()

    def build(self, progress: NamedProgress | None = None) -> LoadedTasks:
        """Build the tasks, or take them from the cache; a release that gives none is a problem."""
        tasks: list[CodingTask] = []
        problems: list[str] = []
        dropped: Counter[str] = Counter()
        for name, version in self._releases:
            try:
                built = self._build_one(name, version, progress)
            except SourceError as error:
                problems.append(str(error))
                continue
            tasks += built.tasks
            dropped.update(built.dropped)
        split = assign_splits(tasks, seed=self._config.seed)
        return LoadedTasks(split, tuple(problems), dict(dropped))

    def workspace(self, task: CodingTask) -> Workspace:
        """Return the files of the task's release."""
        return open_workspace(task)

    def _build_one(
        self, name: str, version: str | None, progress: NamedProgress | None
    ) -> LoadedTasks:
        source = fetch_source(name, version, cache_dir=self._cache_dir)
        choices = asdict(replace(self._config, workers=0))
        key = content_key("mutations", _RULES, source.sha256, choices)
        cache = BuildCache(self._cache_dir)
        kept = _kept(cache.get("mutations", key))
        if kept is not None:
            return kept
        title = f"{source.name} {source.version}"
        advance = None if progress is None else partial(progress, title)
        report = build_tasks(source, self._config, progress=advance)
        built = LoadedTasks(report.tasks, dropped=report.dropped)
        if report.skipped_functions == 0:
            cache.put("mutations", key, _value(built))
        return built


class ReleasePairs:
    """What packages changed from one release to the next."""

    def __init__(
        self,
        argument: str,
        config: PairConfig | None = None,
        *,
        cache_dir: str | Path | None = None,
    ) -> None:
        """Name the releases.

        Args:
            argument: ``NAME==OLD..NEW..NEWER,…``: each release but the first is paired with the
                one before it; with options of ``PairConfig`` after a question mark.
            config: What is accepted where the argument has no options.
            cache_dir: Where releases and results are kept.

        Raises:
            TaskError: The argument is damaged.
        """
        chains, self._config = _parse(argument, config or PairConfig())
        self._pairs = [pair for chain in chains for pair in _pairs(chain)]
        self._cache_dir = cache_dir

    def load(self) -> LoadedTasks:
        """Build the tasks, or take them from the cache."""
        return self.build()

    def build(self, progress: NamedProgress | None = None) -> LoadedTasks:
        """Build the tasks, or take them from the cache; a pair that gives none is a problem."""
        found: dict[int, LoadedTasks] = {}

        def build_next(index: int) -> None:
            name, old, new = self._pairs[index]
            try:
                found[index] = self._build_one(name, old, new)
            except SourceError as error:
                found[index] = LoadedTasks((), (f"{name}=={old}..{new}: {error}",))

        advance = None if progress is None else partial(progress, "release pairs")
        run_all(build_next, len(self._pairs), self._config.workers, advance)
        results = [built for _, built in sorted(found.items())]
        return LoadedTasks(
            assign_splits([task for built in results for task in built.tasks]),
            tuple(problem for built in results for problem in built.problems),
        )

    def workspace(self, task: CodingTask) -> Workspace:
        """Return the files of the older release."""
        return open_workspace(task)

    def _build_one(self, name: str, old: str, new: str) -> LoadedTasks:
        releases = [fetch_source(name, each, cache_dir=self._cache_dir) for each in (old, new)]
        choices = asdict(replace(self._config, workers=0))
        key = content_key("releases", _RULES, *(each.sha256 for each in releases), choices)
        cache = BuildCache(self._cache_dir)
        kept = _kept(cache.get("releases", key))
        if kept is None:
            try:
                task = build_pair(releases[0], releases[1], make_build_sandbox, self._config)
                kept = LoadedTasks((task,))
            except SuiteTimeoutError:
                raise
            except SourceError as error:
                kept = LoadedTasks((), (f"{name}=={old}..{new}: {error}",))
            cache.put("releases", key, _value(kept))
        return kept


def _parse(argument: str, config: Config) -> tuple[Sequence[str], Config]:
    """Split a source's argument into its items and what its options make of the configuration."""
    text, _, query = argument.partition("?")
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise TaskError("name at least one package, such as more-itertools==10.7.0")
    if not query:
        return names, config
    known = asdict(config)
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in known:
            raise TaskError(f"unknown option {name!r}; there are {', '.join(known)}")
    try:
        return names, TypeAdapter(type(config)).validate_python({**known, **options})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise TaskError(f"option {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _release(text: str) -> tuple[str, str | None]:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise TaskError(f"{text!r} names no package; expected name==version") from error
    versions = [(clause.operator, clause.version) for clause in requirement.specifier]
    if not versions:
        return requirement.name, None
    if len(versions) > 1 or versions[0][0] != "==":
        raise TaskError(f"{text!r} names no single version; expected name==version")
    return requirement.name, versions[0][1]


def _pairs(text: str) -> list[tuple[str, str, str]]:
    name, mark, chain = text.partition("==")
    versions = chain.split("..")
    try:
        for version in versions:
            Version(version)
    except InvalidVersion:
        mark = ""
    if not mark or len(versions) < 2:
        raise TaskError(f"{text!r} names no pair of releases; expected name==old..new")
    return [(name, old, new) for old, new in pairwise(versions)]


def _value(built: LoadedTasks) -> dict[str, Any]:
    return {
        "tasks": [asdict(task) for task in built.tasks],
        "problems": list(built.problems),
        "dropped": dict(built.dropped),
    }


def _kept(value: Any) -> LoadedTasks | None:
    try:
        tasks = tuple(parse_task("the cache", as_json(task)) for task in value["tasks"])
        return LoadedTasks(tasks, tuple(value["problems"]), value["dropped"])
    except (TaskError, TypeError, KeyError):
        return None
