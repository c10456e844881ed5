"""Repositories: a commit's files and its history, without anything that came later.

A repository is a clone or a git bundle on this machine; nothing is fetched from elsewhere. What
goes into a box is never the clone itself: it gets a repository of its own, made of the objects
that the base commit reaches and of nothing else, and that is verified. Later commits, refs, tags,
reflogs, remotes and hooks of the clone would show the solution (SWE-bench issue 465).
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir

from pivot_envs.coding.git import git
from pivot_envs.errors import SourceError

BRANCH = "main"
"""The one branch of a stripped repository; its tip is the base commit."""

_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
[user]
\tname = agent
\temail = agent@sandbox.invalid
"""
_KEPT = frozenset(("HEAD", "config", "index", "shallow", f"refs/heads/{BRANCH}"))


@dataclass(frozen=True, slots=True)
class Checkout:
    """A commit's files, and a repository in which that commit is the last one."""

    repo: str
    """``owner/name``."""
    commit: str
    """The full id of the commit, in hex."""
    files: Mapping[str, bytes] = field(repr=False)
    """Contents by path."""
    modes: Mapping[str, int] = field(repr=False)
    """Permission bits by path, 0o644 or 0o755."""
    links: Mapping[str, str] = field(repr=False)
    """Targets of symbolic links by path."""
    history: Mapping[str, bytes] = field(repr=False)
    """Files of the stripped repository by path, all below ``.git/``."""


def find_repository(repositories: Path, repo: str) -> Path:
    """Return where a repository lies in a folder of clones and bundles.

    It is called ``owner/name``, ``owner__name`` or ``name``, with or without ``.git`` or
    ``.bundle`` at the end.

    Raises:
        SourceError: There is none of these.
    """
    owner, _, name = repo.rpartition("/")
    names = [f"{owner}/{name}", f"{owner}__{name}", name] if owner else [name]
    candidates = [f"{each}{end}" for each in names for end in ("", ".git", ".bundle")]
    for candidate in candidates:
        path = repositories / candidate
        if path.is_file() or _git_folder(path) is not None:
            return path
    raise SourceError(
        f"{repositories} has no clone or bundle of {repo}; expected one of "
        f"{', '.join(candidates)}: git clone --mirror URL {repositories / candidates[-2]}"
    )


def object_kinds(
    path: Path, names: Iterable[str], *, cache_dir: str | Path | None = None
) -> dict[str, str]:
    """Return the kinds of objects that a clone or bundle has, by the names that git knows them by.

    Args:
        path: A clone (bare or not) or a git bundle.
        names: Such as ``COMMIT`` or ``COMMIT:folder``; those that name nothing are left out.
        cache_dir: Where bundles are unpacked; a folder of the user's cache by default.

    Raises:
        SourceError: There is no git, or no such repository.
    """
    git_folder = _git_folder(path) or _unpacked(path, cache_dir)
    wanted = list(names)
    asked = "".join(f"{name}\n" for name in wanted).encode()
    answers = git(git_folder, "cat-file", "--batch-check=%(objecttype)", stdin=asked)
    found = zip(wanted, answers.decode(errors="replace").splitlines(), strict=True)
    return {name: kind for name, kind in found if kind in ("commit", "tree", "blob", "tag")}


def check_out(
    path: Path, repo: str, commit: str, *, cache_dir: str | Path | None = None
) -> Checkout:
    """Read a commit of a clone or bundle, with the history that leads to it.

    Args:
        path: A clone (bare or not) or a git bundle.
        repo: What to call it.
        commit: Any name of the commit that is unique, such as the first digits of its id.
        cache_dir: Where bundles are unpacked; a folder of the user's cache by default.

    Raises:
        SourceError: There is no git, no such repository or commit, or the history that was
            stripped is found to hold something that the commit does not reach.
    """
    git_folder = _git_folder(path) or _unpacked(path, cache_dir)
    try:
        full = git(git_folder, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    except SourceError as error:
        raise SourceError(f"{path} has no commit {commit} of {repo}: fetch it first") from error
    full_id = full.decode().strip()
    files, modes, links = _tree(git_folder, full_id)
    with tempfile.TemporaryDirectory(prefix="pivot-history-") as folder:
        stripped = Path(folder) / ".git"
        strip_history(git_folder, full_id, stripped)
        traces = later_traces(stripped, full_id)
        if traces:
            raise SourceError(f"{repo} at {full_id}: history was left over: {traces[0]}")
        history = {
            str(file.relative_to(folder)): file.read_bytes()
            for file in sorted(stripped.rglob("*"))
            if file.is_file()
        }
    return Checkout(repo, full_id, files, modes, links, history)


def strip_history(git_folder: Path, commit: str, target: Path) -> None:
    """Make a repository out of what a commit reaches.

    The same commit gives the same bytes with the same version of git.

    Args:
        git_folder: The repository to take from; it is only read.
        commit: Full id of the commit.
        target: The new repository's ``.git`` folder, which is made.

    Raises:
        SourceError: git fails.
    """
    for name in ("objects/pack", "objects/info", "refs/heads", "refs/tags"):
        (target / name).mkdir(parents=True)
    (target / "HEAD").write_text(f"ref: refs/heads/{BRANCH}\n")
    (target / "config").write_text(_CONFIG)
    packed = git(
        git_folder,
        *("-c", "pack.threads=1", "-c", "pack.writeBitmapHashCache=false"),
        *("pack-objects", "--revs", "--stdout", "--no-reuse-delta", "--no-reuse-object", "-q"),
        stdin=f"{commit}\n".encode(),
    )
    git(target, "index-pack", "--stdin", "--no-rev-index", stdin=packed)
    (target / "refs" / "heads" / BRANCH).write_text(f"{commit}\n")
    _copy_shallow(git_folder, commit, target)
    git(target, "read-tree", commit)


def later_traces(git_folder: Path, commit: str) -> tuple[str, ...]:
    """Return what a repository holds beyond a commit and its history; nothing if it is stripped.

    Looked at are all objects (loose, packed, unreachable), refs, reflogs, remotes, alternates,
    stashes, worktrees, hooks, and the heads that fetches, merges and rebases leave.

    Raises:
        SourceError: git fails, or there is no such commit.
    """
    reached = {
        line.split()[0] for line in git(git_folder, "rev-list", "--objects", commit).splitlines()
    }
    listed = git(
        git_folder, "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"
    )
    objects = dict(line.split() for line in listed.splitlines())
    traces = [
        f"{kind.decode()} {name.decode()} is not reached"
        for name, kind in objects.items()
        if name not in reached
    ]
    for line in git(git_folder, "for-each-ref", "--format=%(objectname) %(refname)").splitlines():
        name, ref = line.decode().split(" ", 1)
        if (name, ref) != (commit, f"refs/heads/{BRANCH}"):
            traces.append(f"the ref {ref} points to {name}")
    if (git_folder / "shallow").is_file():
        cut = (git_folder / "shallow").read_text().split()
        traces += [f"the name {name}" for name in cut if name.encode() not in reached]
    for file in sorted(git_folder.rglob("*")):
        path = str(file.relative_to(git_folder))
        if not file.is_file() or path in _KEPT:
            continue
        if not path.startswith("objects/") or path.startswith("objects/info/"):
            traces.append(f"the file {path}")
    if (git_folder / "config").read_text() != _CONFIG:
        traces.append("the configuration differs from a new repository's")
    return tuple(traces)


def _copy_shallow(git_folder: Path, commit: str, target: Path) -> None:
    """Say of which commits a clone that was cut off lacks the parents."""
    shallow = git_folder / "shallow"
    if shallow.is_file():
        reached = set(git(git_folder, "rev-list", commit).decode().split())
        cut = sorted(reached.intersection(shallow.read_text().split()))
        (target / "shallow").write_text("".join(f"{name}\n" for name in cut))


def _git_folder(path: Path) -> Path | None:
    """Return the folder of a clone that has the objects, or None."""
    if (path / ".git" / "HEAD").is_file():
        return path / ".git"
    return path if (path / "HEAD").is_file() and (path / "objects").is_dir() else None


def _unpacked(bundle: Path, cache_dir: str | Path | None) -> Path:
    """Unpack a bundle once; what it was made from is known by its size and time."""
    try:
        status = bundle.stat()
    except OSError as error:
        raise SourceError(f"cannot read {bundle}: {error.strerror}") from error
    if bundle.is_dir():
        raise SourceError(f"{bundle} is neither a git repository nor a bundle")
    identity = f"{bundle.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    root = Path(cache_dir or user_cache_dir("pivotrl")) / "repositories"
    target = root / f"{bundle.stem}-{sha256(identity.encode()).hexdigest()[:16]}"
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".lock"):
        if not target.exists():
            partial = target.with_name(f".{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            git(None, "clone", "--quiet", "--mirror", str(bundle.resolve()), str(partial))
            partial.replace(target)
    return target


def _tree(git_folder: Path, commit: str) -> tuple[dict[str, bytes], dict[str, int], dict[str, str]]:
    """Return the commit's files, their modes, and its links; submodules are left out."""
    files: dict[str, bytes] = {}
    modes: dict[str, int] = {}
    links: dict[str, str] = {}
    entries: list[tuple[str, bytes, bytes]] = []
    for entry in git(git_folder, "ls-tree", "-r", "-z", commit).split(b"\0"):
        if entry:
            about, _, path = entry.partition(b"\t")
            mode, kind, name = about.split()
            if kind == b"blob":
                entries.append((os.fsdecode(path), mode, name))
    names = b"".join(name + b"\n" for _, _, name in entries)
    contents = _blobs(git(git_folder, "cat-file", "--batch", stdin=names))
    for (place, mode, _), content in zip(entries, contents, strict=True):
        if mode == b"120000":
            links[place] = os.fsdecode(content)
        else:
            files[place] = content
            modes[place] = 0o755 if mode == b"100755" else 0o644
    return files, modes, links


def _blobs(answer: bytes) -> Iterator[bytes]:
    """Yield the contents that ``git cat-file --batch`` printed."""
    start = 0
    while start < len(answer):
        end = answer.index(b"\n", start)
        size = int(answer[start:end].split()[2])
        yield answer[end + 1 : end + 1 + size]
        start = end + 1 + size + 1
