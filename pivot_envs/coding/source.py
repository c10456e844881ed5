"""PackageSource, the source release of a real package, fetched once and kept."""

import hashlib
import io
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

from filelock import FileLock
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from platformdirs import user_cache_dir

from pivot_envs.coding.index import Download, download_release, read_pip_settings
from pivot_envs.errors import SourceError

_MAX_BYTES = 64 * 2**20
_MAX_LICENCE = 60
_CONFIGURATION = frozenset(
    ["conftest.py", "pyproject.toml", "pytest.ini", "setup.cfg", "setup.py", "tox.ini"]
)
_NO_PACKAGE = re.compile(r"(tests?|docs?|examples?|benchmarks?|scripts|tools|build|ci)$")
_CHANGELOG = re.compile(
    r"(docs?/)?(source/)?(about/)?(changes|changelog|change_log|history|news|releases?|versions)"
    r"(\.(rst|md|txt))?$",
    re.IGNORECASE,
)
_TEST_FILE = re.compile(r"(test_[^/]*|[^/]*_test)\.py$")


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A source release: the package, its tests and what configures them."""

    name: str
    version: str
    sha256: str
    """SHA-256 of the archive."""
    files: Mapping[str, bytes] = field(repr=False)
    """Contents by path relative to the workspace; a ``src/`` layout is flattened."""
    modes: Mapping[str, int] = field(repr=False)
    """Permission bits by path, 0o644 or 0o755."""
    package_dirs: tuple[str, ...]
    """The package's own folders and modules."""
    test_dirs: tuple[str, ...]
    """Folders with tests, and test files that lie elsewhere."""
    licence: str = ""
    """As the release's metadata says it; empty if it does not."""
    changelog: str = field(default="", repr=False)
    """Text of the release's changelog, which is no part of the workspace; empty if it has none."""


def fetch_source(
    name: str,
    version: str | None = None,
    *,
    sha256: str | None = None,
    cache_dir: str | Path | None = None,
) -> PackageSource:
    """Fetch the source release of a package, from the cache if it is there.

    The index is the one that pip is set up with; no build code runs. A release that was fetched
    once needs no network again, unless no version is given: that asks for the newest.

    Args:
        name: Name of the package on the index.
        version: Exact version, or ``None`` for the newest.
        sha256: Expected SHA-256 of the archive.
        cache_dir: Where archives are kept; ``cache_folder()`` by default.

    Raises:
        SourceError: The release cannot be fetched or kept, is not the expected one, or has no
            tests or no Python package.
    """
    name = canonicalize_name(name)
    release = fetch_release(name, version, cache_dir=cache_dir)
    if sha256 not in (None, release.sha256):
        raise SourceError(
            f"{name} {release.version}: expected a release with SHA-256 {sha256}, "
            f"got {release.sha256}; it was made from another archive"
        )
    return unpack_release(name, release)


def fetch_release(
    name: str, version: str | None = None, *, cache_dir: str | Path | None = None
) -> Download:
    """Fetch the archive of a source release, from the cache if it is there.

    Raises:
        SourceError: The release cannot be fetched or kept.
    """
    name = canonicalize_name(name)
    folder = cache_folder(cache_dir) / "sources"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            release = _cached(folder, name, version) if version else None
            if release is None:
                release = download_release(name, version, read_pip_settings())
                _keep(folder, name, release)
    except OSError as error:
        raise SourceError(f"cannot keep source releases in {folder}: {error}") from error
    return release


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """Return where releases and builds are kept: as given, PIVOTRL_CACHE, or the user's cache."""
    return Path(cache_dir or os.environ.get("PIVOTRL_CACHE") or user_cache_dir("pivotrl"))


def unpack_release(name: str, release: Download) -> PackageSource:
    """Unpack an archive in memory and find its package and tests.

    Raises:
        SourceError: The archive is damaged or too large, or has no tests or no Python package.
    """
    title = f"{name} {release.version}"
    try:
        members = {path: (content, mode) for path, content, mode in _members(release)}
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise SourceError(f"{title}: {release.filename} is damaged: {error}") from error
    package_dirs = _package_dirs(name, members)
    if not package_dirs:
        raise SourceError(f"{title} has no pure-Python package at its root or in src/")
    test_dirs = find_test_dirs(members)
    if not test_dirs:
        raise SourceError(f"{title} has no tests: no test_*.py; choose a release that ships them")
    kept = [
        path
        for path in sorted(members)
        if path in _CONFIGURATION or _lies_in(path, (*package_dirs, *test_dirs))
    ]
    return PackageSource(
        name=name,
        version=release.version,
        sha256=release.sha256,
        files={path: members[path][0] for path in kept},
        modes={path: members[path][1] for path in kept},
        package_dirs=package_dirs,
        test_dirs=test_dirs,
        licence=_licence(members.get("PKG-INFO", (b"", 0))[0]),
        changelog=_changelog(members),
    )


def _cached(folder: Path, name: str, version: str) -> Download | None:
    try:
        version = str(Version(version))
    except InvalidVersion as error:
        raise SourceError(f"{name}: {version!r} is no version number") from error
    for path in sorted(folder.glob(f"{name}-{version}-{'?' * 64}.*")):
        digest, _, suffix = path.name.removeprefix(f"{name}-{version}-").partition(".")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == digest:
            return Download(version, f"{name}-{version}.{suffix}", digest, content)
        path.unlink()
    return None


def _keep(folder: Path, name: str, release: Download) -> None:
    suffix = "zip" if release.filename.endswith(".zip") else "tar.gz"
    path = folder / f"{name}-{Version(release.version)}-{release.sha256}.{suffix}"
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(release.content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _members(release: Download) -> Iterator[tuple[str, bytes, int]]:
    """Yield path, content and mode of the regular files, without the archive's top folder."""
    total = 0
    opened = _zip_members if release.filename.endswith(".zip") else _tar_members
    for name, size, mode, content in opened(release.content):
        parts = PurePosixPath(name).parts[1:]
        if not parts or ".." in parts:
            continue
        total += size
        if total > _MAX_BYTES:
            raise SourceError(f"{release.filename} unpacks to more than {_MAX_BYTES} bytes")
        if parts[0] == "src" and len(parts) > 1:
            parts = parts[1:]
        yield "/".join(parts), content(), 0o755 if mode & 0o100 else 0o644


def _tar_members(archive: bytes) -> Iterator[tuple[str, int, int, Callable[[], bytes]]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for member in opened:
            stream = opened.extractfile(member) if member.isreg() else None
            if stream is not None:
                yield member.name, member.size, member.mode, stream.read


def _zip_members(archive: bytes) -> Iterator[tuple[str, int, int, Callable[[], bytes]]]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for member in opened.infolist():
            if not member.is_dir():
                with opened.open(member) as stream:
                    yield member.filename, member.file_size, member.external_attr >> 16, stream.read


def _package_dirs(name: str, paths: Mapping[str, object]) -> tuple[str, ...]:
    tops = {path.removesuffix("/__init__.py") for path in paths if path.endswith("/__init__.py")}
    folders = {top for top in tops if "/" not in top and not _NO_PACKAGE.match(top)}
    modules = {
        path
        for path in paths
        if path.endswith(".py") and "/" not in path and path not in _CONFIGURATION
        if not _TEST_FILE.match(path)
    }
    named = [top for top in folders | modules if canonicalize_name(top.removesuffix(".py")) == name]
    return tuple(sorted(named or folders or modules))


def find_test_dirs(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the folders among ``paths`` that hold tests, and test files that lie elsewhere."""
    places: set[str] = set()
    for path in paths:
        parts = path.split("/")
        if not _TEST_FILE.match(parts[-1]):
            continue
        depth = next((i for i, part in enumerate(parts) if part in ("tests", "test")), None)
        places.add(path if depth is None else "/".join(parts[: depth + 1]))
    return tuple(sorted(places))


def _changelog(members: Mapping[str, tuple[bytes, int]]) -> str:
    """Return the text of the changelog nearest to the root."""
    paths = sorted(filter(_CHANGELOG.match, members), key=lambda path: (path.count("/"), path))
    return members[paths[0]][0].decode("utf-8", errors="replace") if paths else ""


def _licence(metadata: bytes) -> str:
    """Return the licence of core metadata: an SPDX expression where there is one."""
    fields = HeaderParser().parsestr(metadata.decode("utf-8", errors="replace"))
    classifiers = (value.split(" :: ") for value in fields.get_all("Classifier", []))
    names = [parts[-1] for parts in classifiers if parts[0] == "License"]
    free_text = (fields.get("License") or "").strip()
    is_name = 0 < len(free_text) < _MAX_LICENCE and "\n" not in free_text
    known = fields.get("License-Expression") or (free_text if is_name else "") or "; ".join(names)
    return "" if known == "UNKNOWN" else known.strip()


def _lies_in(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)
