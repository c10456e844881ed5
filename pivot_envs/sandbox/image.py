"""Image, what Docker boxes are made from: this machine's Python, pytest, and common programs.

No registry is asked: the files are those of the machine that builds it.
"""

import contextlib
import importlib.metadata
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.container import COMMAND_UID
from pivot_envs.sandbox.engine import IMAGE_LABEL, connect, translated
from pivot_envs.sandbox.libraries import shared_libraries

PROGRAMS = """
bash sh env ls cat cp mv rm mkdir rmdir ln chmod chown touch mktemp mkfifo truncate install dd
sync head tail cut paste join sort uniq wc tr nl tac rev fold fmt split csplit comm shuf seq od
tee expand unexpand printf echo true false test [ expr yes sleep timeout nice nohup date uname
id whoami groups pwd dirname basename readlink realpath stat df du md5sum sha1sum sha256sum
base64 cksum numfmt tsort factor printenv stdbuf nproc hostname kill find xargs grep egrep fgrep
sed gawk mawk awk diff cmp diff3 sdiff patch tar gzip gunzip zcat bzip2 xz ps pgrep pkill top
free uptime pidof pidwait which file less more setsid prlimit unshare mount getopt strings tree
jq bc git make ldd getent tput clear
""".split()  # noqa: SIM905, a list would be a page long
"""Those that the machine has of these get into the image."""

_PREFIX = "usr/local"
_SKIPPED = frozenset(
    (
        *("site-packages", "dist-packages", "__pycache__", "ensurepip", "lib2to3"),
        *("test", "tests", "idlelib", "tkinter", "turtledemo"),
    )
)
_DATA = (
    "/etc/ld.so.cache",
    "/usr/lib/locale/C.utf8",
    "/usr/share/terminfo/d/dumb",
    "/usr/share/git-core/templates",
)
_GIT_CORE = "/usr/lib/git-core/git"
_LOADER_NAMES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


def build_image(name: str) -> str:
    """Build an image and give it a name; an image that had the name loses it.

    Returns:
        The image's id.

    Raises:
        SandboxUnavailableError: There is no engine, or this machine lacks bash or pytest.
        SandboxError: The engine refuses.
    """
    repository, _, tag = name.partition(":")
    changes = [
        "ENV PATH=/usr/local/bin:/usr/bin:/bin",
        f'LABEL {IMAGE_LABEL}="{sys.version_info.major}.{sys.version_info.minor}"',
        "USER agent",
        "WORKDIR /workspace",
    ]
    with tempfile.TemporaryDirectory(prefix="pivot-image-") as folder:
        tree = _Tree(Path(folder))
        tree.fill()
        archive = tree.archive()
    engine = connect()
    try:
        with translated(f"the image {name} cannot be built"):
            before = engine.images(name, filters={"label": IMAGE_LABEL})
            engine.import_image_from_data(archive, repository, tag or "latest", changes)
            for image in before:
                _remove_nameless(engine, image["Id"])
            return str(engine.inspect_image(name)["Id"])
    finally:
        engine.close()


def _remove_nameless(engine: Any, image: str) -> None:
    """Remove an image that has lost its name, unless it has others or a container uses it."""
    import docker

    # Another process may have removed it meanwhile.
    with contextlib.suppress(docker.errors.APIError):
        if not engine.inspect_image(image)["RepoTags"]:
            engine.remove_image(image)


class _Tree:
    """The image's root folder, filled from this machine's."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._libraries: set[Path] = set()

    def fill(self) -> None:
        """Copy everything.

        Raises:
            SandboxUnavailableError: This machine lacks what an image must have.
        """
        for name in _LOADER_NAMES:
            path = Path(name)
            if path.is_symlink():
                (self._root / name[1:]).symlink_to(path.readlink())
                (self._root / name[1:]).resolve().mkdir(parents=True, exist_ok=True)
        self._add_programs()
        self._add_python()
        for path in map(Path, _DATA):
            if path.exists():
                self._copy(path, path)
        self._add_settings()

    def archive(self) -> bytes:
        """Return the tree as an uncompressed tar archive that belongs to root."""
        content = io.BytesIO()

        def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            is_open = member.isdir() or member.mode & 0o100
            member.mode = 0o1777 if member.name == "tmp" else 0o755 if is_open else 0o644
            return member

        with tarfile.open(fileobj=content, mode="w") as archive:
            for path in sorted(self._root.iterdir()):
                archive.add(path, path.name, filter=as_root)
        return content.getvalue()

    def _add_programs(self) -> None:
        found = {name: shutil.which(name, path="/usr/bin:/bin") for name in PROGRAMS}
        if found["bash"] is None:
            raise SandboxUnavailableError("an image needs bash, and this machine has none")
        binaries = [Path(path) for path in found.values() if path is not None]
        for path in binaries:
            self._copy(path, path)
        if found["git"] is not None and Path(_GIT_CORE).exists():
            # Everything that git needs for work without a network is built in.
            self._link(Path(_GIT_CORE), Path(found["git"]))
        self._add_libraries(binaries)

    def _add_python(self) -> None:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        program = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        bin_folder = Path("/", _PREFIX, "bin")
        self._copy(program, bin_folder / version)
        for name in ("python3", "python"):
            self._link(bin_folder / name, Path(version))
        pure = Path("/", _PREFIX, "lib", version)
        stdlib = Path(sysconfig.get_path("stdlib"))
        self._copy_folder(stdlib, pure)
        extensions = Path(sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix}))
        if extensions != stdlib:
            self._copy_folder(extensions, Path("/", _PREFIX, sys.platlibdir, version))
        packages = pure / "site-packages"
        for path, inside in _package_files("pytest"):
            self._copy(path, packages / inside)
        # Debian's interpreter looks there.
        self._link(pure / "dist-packages", Path("site-packages"))
        script = self._place(bin_folder / "pytest")
        (entry,) = importlib.metadata.entry_points(group="console_scripts", name="pytest")
        script.write_text(
            f"#!/{_PREFIX}/bin/python3\nimport sys\n"
            f"from {entry.module} import {entry.attr}\nsys.exit({entry.attr}())\n"
        )
        script.chmod(0o755)
        shared = [path for path in extensions.rglob("*.so") if not _is_skipped(path, extensions)]
        self._add_libraries([program, *shared])
        self._compile(pure)

    def _add_settings(self) -> None:
        texts = {
            "etc/passwd": "root:x:0:0::/:/bin/false\n"
            f"agent:x:{COMMAND_UID}:{COMMAND_UID}::/tmp:/bin/bash\n",
            "etc/group": f"root:x:0:\nagent:x:{COMMAND_UID}:\n",
            "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        }
        for path, text in texts.items():
            self._place(Path("/", path)).write_text(text)
        for folder in ("workspace", "tmp", "run", "proc", "sys", "dev"):
            (self._root / folder).mkdir(exist_ok=True)

    def _add_libraries(self, binaries: Iterable[Path]) -> None:
        """Copy the shared libraries that programs load, under the names by which they do."""
        for library in {path for _, path in shared_libraries(binaries)} - self._libraries:
            self._libraries.add(library)
            self._copy(library, library)

    def _compile(self, folder: Path) -> None:
        """Compile the sources in a way that never looks at time stamps."""
        inside = self._root / folder.relative_to("/")
        command = [sys.executable, "-m", "compileall", "-q", "-j", "1"]
        settings = ["--invalidation-mode", "unchecked-hash", "-s", str(self._root), "-p", "/"]
        # A file of another Python version in the standard library is no reason to fail.
        subprocess.run([*command, *settings, str(inside)], capture_output=True, check=False)

    def _copy_folder(self, source: Path, target: Path) -> None:
        for path in source.rglob("*"):
            if not path.is_dir() and not _is_skipped(path, source):
                self._copy(path, target / path.relative_to(source))

    def _copy(self, source: Path, target: Path) -> None:
        """Copy a file or folder; links are followed, so that nothing they name is missed."""
        place = self._place(target)
        if source.is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, place)
            place.chmod(source.stat().st_mode & 0o777)

    def _link(self, path: Path, target: Path) -> None:
        place = self._place(path)
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    def _place(self, path: Path) -> Path:
        """Return where an absolute path of the image lies in the tree; its folder is made."""
        folder = self._root
        for part in path.parent.parts[1:]:
            folder /= part
            if folder.is_symlink():
                folder = self._root / os.fspath(folder.readlink()).lstrip("/")
            folder.mkdir(exist_ok=True)
        return folder / path.name


def _is_skipped(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return bool(_SKIPPED.intersection(parts[:-1])) or parts[0].startswith("config-")


def _package_files(name: str) -> Iterator[tuple[Path, Path]]:
    """Yield each file of a package and of those it needs, with its path among packages."""
    for distribution in _closure(name):
        for file in distribution.files or ():
            path = Path(str(distribution.locate_file(file)))
            is_module = ".." not in file.parts and "__pycache__" not in file.parts
            if is_module and path.is_file():
                yield path, Path(*file.parts)


def _closure(name: str) -> list[Any]:
    wanted, found = [name], {}
    while wanted:
        current = wanted.pop()
        if current in found:
            continue
        try:
            distribution = importlib.metadata.distribution(current)
        except importlib.metadata.PackageNotFoundError as error:
            raise SandboxUnavailableError(
                f"an image needs the package {current}, which is not installed here"
            ) from error
        found[current] = distribution
        for text in distribution.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
    return list(found.values())
