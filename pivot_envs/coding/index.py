"""The package index: finds and downloads source releases with the settings that pip has."""

import ast
import hashlib
import ssl
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from unearth import Package, PackageFinder
from unearth.auth import MultiDomainBasicAuth
from unearth.fetchers import PyPIClient
from unearth.link import Link

from pivot_envs.errors import SourceError

_TIMEOUT_S = 30.0
_SECTIONS = ("global", "install", ":env:")


@dataclass(frozen=True, slots=True)
class PipSettings:
    """Where and how pip looks for packages on this machine."""

    index_urls: tuple[str, ...] = ()
    """Empty for the default index."""
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    certificate: str | None = None
    """PEM file of the trusted authorities."""
    no_index: bool = False


@dataclass(frozen=True, slots=True)
class Download:
    """A source release as the index holds it."""

    version: str
    filename: str
    sha256: str
    content: bytes


def read_pip_settings() -> PipSettings:
    """Ask pip for its settings, from files and environment; without pip they are the defaults."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    sections: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in sections:
            sections[section][key] = str(ast.literal_eval(value))
    options = {key: value for section in _SECTIONS for key, value in sections[section].items()}
    index_urls = (options.get("index-url") or _default_index(), options.get("extra-index-url", ""))
    return PipSettings(
        index_urls=tuple(" ".join(index_urls).split()),
        find_links=tuple(options.get("find-links", "").split()),
        trusted_hosts=tuple(options.get("trusted-host", "").split()),
        certificate=options.get("cert"),
        no_index=options.get("no-index", "").lower() in ("1", "true", "yes", "on"),
    )


def download_release(
    name: str, version: str | None, settings: PipSettings, *, binary: bool = False
) -> Download:
    """Download a release of a package, the newest one if no version is given.

    Nothing is built and no code of the package runs.

    Args:
        name: Name of the package.
        version: Exact version, or ``None`` for the newest.
        settings: Where and how to look.
        binary: Whether to take the wheel instead of the source release.

    Raises:
        SourceError: There is no such package or version, it has no source release, the index
            cannot be reached, or what it sent differs from the hash that it announced.
    """
    index_urls = () if settings.no_index else settings.index_urls
    with _session(settings) as session:
        try:
            finder = _finder(settings, index_urls, session, binary)
            package = _find(finder, name, version)
            response = session.get(package.link.normalized)
            response.raise_for_status()
            content = bytes(response.content)
        except SourceError:
            raise
        except Exception as error:
            places = _shown(index_urls + settings.find_links)
            raise SourceError(
                f"cannot fetch {name} from {places}: {error}; "
                "check the network and pip's index settings (python -m pip config list)"
            ) from error
    digest = hashlib.sha256(content).hexdigest()
    announced = (package.link.hash_option or {}).get("sha256", [digest])
    if digest not in announced:
        raise SourceError(
            f"{package.link.filename}: the index announced SHA-256 {announced[0]}, "
            f"but what it sent has {digest}; try again"
        )
    return Download(str(package.version), package.link.filename, digest, content)


def _default_index() -> str:
    return str(PackageFinder().sources[0]["url"])


def _session(settings: PipSettings) -> PyPIClient:
    certificate = settings.certificate
    session = PyPIClient(
        trusted_hosts=settings.trusted_hosts,
        verify=ssl.create_default_context(cafile=certificate) if certificate else True,
        timeout=_TIMEOUT_S,
        follow_redirects=True,
    )
    session.auth = MultiDomainBasicAuth(prompting=False, index_urls=settings.index_urls)
    return session


def _finder(
    settings: PipSettings, index_urls: tuple[str, ...], session: PyPIClient, binary: bool
) -> PackageFinder:
    links = [link for link in settings.find_links if "://" in link or Path(link).exists()]
    finder = PackageFinder(
        # The client's own signatures are wider than the protocol that unearth writes for it.
        session,  # type: ignore[arg-type]
        index_urls=index_urls,
        find_links=links,
        no_binary=[] if binary else [":all:"],
        only_binary=[":all:"] if binary else [],
    )
    if settings.no_index:
        finder.sources = [source for source in finder.sources if source["type"] != "index"]
    return finder


def _find(finder: PackageFinder, name: str, version: str | None) -> Package:
    try:
        requirement = Requirement(name if version is None else f"{name}=={version}")
    except InvalidRequirement as error:
        given = name if version is None else f"{name}=={version}"
        reason = str(error).splitlines()[0]
        raise SourceError(f"{given!r} is no package name and version: {reason}") from error
    with warnings.catch_warnings():
        # Other releases may have metadata of older rules, which unearth reads all the same.
        warnings.filterwarnings("ignore", r"\.\* suffix", FutureWarning)
        match = finder.find_best_match(requirement)
    if match.best is not None:
        return match.best
    places = _shown(tuple(source["url"] for source in finder.sources))
    if not match.candidates:
        raise SourceError(
            f"no source release of a package {name!r} at {places}; check the spelling, "
            "and whether the package publishes source releases"
        )
    known = dict.fromkeys(str(candidate.version) for candidate in match.candidates)
    raise SourceError(
        f"{name} has no source release {version!r}; the newest are {', '.join(list(known)[:5])}"
    )


def _shown(places: tuple[str, ...]) -> str:
    """Return the places without the credentials that their URLs may hold."""
    return ", ".join(Link(place).redacted if "://" in place else place for place in places)
