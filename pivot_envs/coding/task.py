"""CodingTask, one repair in a real code base: what is asked, where, and what decides."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from pivot_envs.coding.diff import parse_diff
from pivot_envs.coding.gold import Bug, BugPatch, Patch
from pivot_envs.errors import TaskError

Split = Literal["train", "test", "unseen"]
_STRICT = ConfigDict(extra="forbid", strict=True)
_TEST_TEXT = r"^[^\x00]*$"


@dataclass(frozen=True, slots=True)
class Release:
    """The workspace is the source release of a package on the index that pip is set up with."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    package: str
    version: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the archive."""
    kind: Literal["release"] = "release"


@dataclass(frozen=True, slots=True)
class Repository:
    """The workspace is a repository at a commit, without any later history."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    repo: Annotated[str, Field(min_length=1)]
    """``owner/name``; where its clone or bundle lies is told to the source, not in the task."""
    base_commit: Annotated[str, Field(pattern=r"^[0-9a-f]{7,64}$")]
    kind: Literal["repository"] = "repository"


@dataclass(frozen=True, slots=True)
class Foreign:
    """A workspace that only the task source which made it can open."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    source: Annotated[str, Field(min_length=1)]
    """Spec of that source, as ``gym.make("pivot/Coding-v0", tasks=…)`` takes it."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Whatever the source needs, as JSON."""
    kind: Literal["foreign"] = "foreign"


Origin = Annotated[Release | Repository | Foreign, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Environment:
    """What the tests need and how pytest runs them."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    requirements: tuple[str, ...] = ()
    """What must be installed in the box beside pytest, as PEP 508 says it."""
    image: str | None = None
    """Docker image that holds all of it."""
    options: tuple[str, ...] = ()
    """Further options of pytest, such as ``-o``, ``pythonpath=src``."""
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    """Seconds for all named tests together; the environment's own by default."""


@dataclass(frozen=True, slots=True)
class Difficulty:
    """The size of the task's known solution."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    files: Annotated[int, Field(ge=0)]
    """Files that the solution changes."""
    lines: Annotated[int, Field(ge=0)]
    """Lines that it adds or replaces, plus lines that it only removes."""
    tests: Annotated[int, Field(ge=0)]
    """FAIL_TO_PASS tests."""


@dataclass(frozen=True, slots=True)
class CodingTask:
    """One repair in a real code base, with the tests that decide whether it is done."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    task_id: Annotated[str, Field(min_length=1)]
    """Unique and readable, ``more-itertools-10.7.0/more.chunked/1a2b3c4d``."""
    issue: str
    """What the agent is told; never made from the solution."""
    origin: Origin
    """Where the workspace comes from."""
    fail_to_pass: Annotated[tuple[str, ...], Field(min_length=1)]
    """Test ids that fail at the start and pass once the task is solved."""
    pass_to_pass: tuple[str, ...]
    """Test ids that pass before and after."""
    gold: Annotated[Bug | BugPatch | Patch, Field(discriminator="kind")] | None = None
    """The known solution. It never enters the box and must not reach an agent under test."""
    test_patch: Annotated[str, Field(pattern=_TEST_TEXT)] = ""
    """Unified diff from the workspace to the grader's files. The box never holds what it adds;
    empty where the workspace's own tests decide."""
    environment: Environment = Environment()
    suspects: tuple[str, ...] = ()
    """Functions as ``path.py::Class.method`` that the failing tests run and others hardly do, the
    most suspicious one first; what is wrong need not be among them."""
    licence: str = ""
    """Licence of the code, as its metadata says it; empty if unknown."""
    provenance: str = ""
    """Where code, tests and issue come from."""
    difficulty: Difficulty | None = None
    split: Split = "train"
    """``train``; ``test``: unseen tasks of known code; ``unseen``: unseen code."""

    def hash(self) -> str:
        """Return the SHA-256 of the task's canonical JSON, in hex."""
        return hashlib.sha256(as_json(dataclasses.asdict(self)).encode()).hexdigest()

    @property
    def bug(self) -> Bug:
        """The injected bug of a mutation task.

        Raises:
            TaskError: The task is of another kind.
        """
        if not isinstance(self.gold, Bug):
            raise TaskError(f"{self.task_id} holds no injected bug")
        return self.gold

    @property
    def package(self) -> str:
        """Name of the package or repository."""
        match self.origin:
            case Release(package=package):
                return package
            case Repository(repo=repo):
                return repo
            case Foreign(source=source):
                return source

    @property
    def hides_tests(self) -> bool:
        """Whether the tests that decide are not in the workspace as the agent gets it."""
        return bool(self.test_patch)

    def named_tests(self) -> tuple[str, ...]:
        """Return FAIL_TO_PASS, then PASS_TO_PASS."""
        return (*self.fail_to_pass, *self.pass_to_pass)

    def test_paths(self) -> frozenset[str]:
        """Return the files that the test patch changes, adds or removes.

        Raises:
            TaskError: The test patch is damaged.
        """
        files = parse_diff(self.test_patch)
        return frozenset(path for file in files for path in (file.old_path, file.path) if path)

    def packages(self) -> frozenset[str]:
        """Return the import names of the packages that the known solution changes."""
        match self.gold:
            case Bug(mutations=mutations):
                paths = [mutation.path for mutation in mutations]
            case BugPatch(diff=diff) | Patch(diff=diff):
                paths = [file.path or "" for file in parse_diff(diff)]
            case None:
                paths = []
        modules = (path.removeprefix("src/") for path in paths if path.endswith(".py"))
        tops = {module.partition("/")[0].removesuffix(".py") for module in modules}
        return frozenset(tops - {"setup", "tests", "test", "docs", "conftest"})

    def title(self) -> str:
        """Return what the workspace is, such as ``sqlparse 0.5.3``."""
        match self.origin:
            case Release(package=package, version=version):
                return f"{package} {version}"
            case Repository(repo=repo, base_commit=commit):
                return f"{repo} at {commit[:12]}"
            case Foreign(source=source):
                return source


def leaves_workspace(path: str) -> bool:
    """Tell whether a path of a task is absolute or climbs out of the workspace."""
    parts = PurePosixPath(path)
    return parts.is_absolute() or ".." in parts.parts


def as_json(value: Any) -> str:
    """Return a value as canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
