"""Repositories made of a package's releases, and SWE-bench rows of what each release repaired.

One commit is one source release, whole and unchanged. The row of a release has the release before
as its base commit, the change of the code as its patch, the change of the tests as its test patch,
and what the changelog says of the release as its problem statement.
"""

import io
import re
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pivot_envs.coding.diff import added_lines, write_diff
from pivot_envs.coding.git import Commit, write_commits
from pivot_envs.coding.source import fetch_release, find_test_dirs
from pivot_envs.coding.tasks.changelog import changelog_entry, without_code
from pivot_envs.errors import SourceError

_CHANGELOG = re.compile(
    r"(^|/)(changes|changelog|history|news|releases|versions)(\.\w+)?$", re.IGNORECASE
)
_README = re.compile(r"readme(\.\w+)?", re.IGNORECASE)
_NO_CODE = re.compile(
    r"(^|/)(docs?|examples?|[^/]*\.egg-info|benchmarks?)/|^PKG-INFO$|^[^/]*\.(rst|md)$"
)
_AUTHOR = "release <release@invalid>"


@dataclass(frozen=True, slots=True)
class ReleaseTree:
    """All files of one source release."""

    name: str
    version: str
    files: Mapping[str, bytes] = field(repr=False)
    """Contents by path, without the archive's top folder."""
    modes: Mapping[str, int] = field(repr=False)
    seconds: int
    """When its newest file was made, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class ReleaseHistory:
    """A repository of releases that follow each other."""

    repo: str
    """Its name, ``releases/NAME``."""
    trees: tuple[ReleaseTree, ...]
    commits: tuple[str, ...]
    """The commit of each tree."""


@dataclass(frozen=True, slots=True)
class ReleaseChange:
    """What one release changed, as far as a task is made of it."""

    patch: str
    """Unified diff of the code."""
    test_patch: str
    """Unified diff of the tests."""
    test_files: tuple[str, ...]
    """Changed test modules, as they are called afterwards."""
    statement: str
    """What the changelog says; empty if it says nothing."""


def write_history(name: str, versions: Sequence[str], folder: Path) -> ReleaseHistory:
    """Fetch releases and make a bare repository of them, ``folder/releases__NAME.git``.

    The same releases give the same commits.

    Raises:
        SourceError: A release cannot be fetched or is damaged, or git fails.
        OSError: The repository is there already, or cannot be written.
    """
    trees = tuple(read_tree(name, version) for version in versions)
    repo = f"releases/{name}"
    folder.mkdir(parents=True, exist_ok=True)
    commits = write_commits(
        folder / f"{repo.replace('/', '__')}.git",
        [
            Commit(
                message=f"{name} {tree.version}\n",
                files=tree.files,
                modes=tree.modes,
                author=_AUTHOR,
                seconds=tree.seconds,
                tag=f"v{tree.version}",
            )
            for tree in trees
        ],
        branch="main",
    )
    return ReleaseHistory(repo, trees, tuple(commits))


def read_tree(name: str, version: str) -> ReleaseTree:
    """Fetch a release and unpack all of it in memory.

    Raises:
        SourceError: It cannot be fetched, or is no tar archive.
    """
    release = fetch_release(name, version)
    files: dict[str, bytes] = {}
    modes: dict[str, int] = {}
    seconds = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(release.content)) as archive:
            for member in archive:
                path = "/".join(PurePosixPath(member.name).parts[1:])
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None or not path or ".." in path.split("/"):
                    continue
                files[path] = stream.read()
                modes[path] = 0o755 if member.mode & 0o100 else 0o644
                seconds = max(seconds, int(member.mtime))
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise SourceError(f"{release.filename} cannot be unpacked: {error}") from error
    return ReleaseTree(name, release.version, files, modes, seconds)


def release_change(old: ReleaseTree, new: ReleaseTree) -> ReleaseChange:
    """Return what a release changed in its code, its tests and its changelog.

    Files that hold no UTF-8 text, documentation and metadata are left out.
    """
    test_dirs = find_test_dirs({**old.files, **new.files})
    code: list[str] = []
    tests: list[str] = []
    test_files: list[str] = []
    for path in sorted(old.files.keys() | new.files.keys()):
        before, after = _text(old.files.get(path)), _text(new.files.get(path))
        if before == after or _NO_CODE.search(path) or _CHANGELOG.search(path):
            continue
        diff = write_diff(path, before, after)
        if not any(path == top or path.startswith(f"{top}/") for top in test_dirs):
            code.append(diff)
            continue
        tests.append(diff)
        if after is not None and re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", path):
            test_files.append(path)
    return ReleaseChange(
        "".join(code), "".join(tests), tuple(test_files), _statement(old, new, code)
    )


def _statement(old: ReleaseTree, new: ReleaseTree, code: Sequence[str]) -> str:
    """Return what a release's changelog, or its readme, says about it, without its code."""
    secrets = added_lines("".join(code))
    named = [path for path in new.files if _CHANGELOG.search(path)]
    readme = [path for path in new.files if _README.fullmatch(path)]
    for path in (*sorted(named, key=lambda path: (path.count("/"), path)), *readme):
        text = _text(new.files[path]) or ""
        entry = changelog_entry(text, new.version)
        if not entry.strip():
            entry = _new_lines(_text(old.files.get(path)) or "", text)
            # A readme says much that is not about a release.
            entry = entry if path in named or new.version in entry else ""
        if entry.strip():
            return without_code(entry, secrets)
    return ""


def _new_lines(old: str, new: str) -> str:
    known = set(old.splitlines())
    return "\n".join(line for line in new.splitlines() if line not in known)


def _text(content: bytes | None) -> str | None:
    if content is None:
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
