"""What of the machine is shown inside an embedded box: the interpreter and the system folders."""

import importlib.util
import os
import re
import stat
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

_SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_PACKAGE = str(Path(__file__).resolve().parents[1])
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
_SHARED_FILES = ("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf")
_DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom"))

_NEEDED = frozenset(("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments"))
_VENDORS = re.compile(r"^(_?vendor(ed)?|_?extern(al|s)?|third_?party|stubs|_bundled)$")
_HOLDS_PACKAGES = re.compile(
    r"/((site|dist)-packages|_?vendor(ed)?|_?extern(al|s)?|third_?party|stubs|_bundled)$"
)
_PACKAGES = re.compile(r"/(?:site|dist)-packages(/.*)$")
_DEPTH = 2
"""Folders below installed packages, in which packages that are brought along are looked for."""


AGENT = Path(__file__).parent / "agent"
"""The folder of the in-box agent."""

WARM_PROGRAMS = ("warm.py", "code_cache.py", "warm_up_tests.py")
"""Files of the agent that its warm interpreter is started from, outside the agent's process."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The running Python, as a box shows it."""

    python: str
    """Path of the interpreter that commands call ``python``."""
    base: str
    """Path of the real interpreter behind a virtual environment."""
    folders: tuple[str, ...]
    """Folders that it needs."""
    search_path: str
    """``PYTHONPATH`` for packages outside these folders' own; usually empty."""

    def is_open_to_all(self) -> bool:
        """Tell whether any user of the machine can run it."""
        return all(
            folder.stat().st_mode & stat.S_IXOTH
            for path in (self.python, self.base)
            for folder in Path(path).parents
        )

    def environment(self, home: str) -> dict[str, str]:
        """Return the environment that commands start with."""
        environment = {
            "PATH": f"{Path(self.python).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": home,
            "TMPDIR": home,
            "USER": "agent",
            "LOGNAME": "agent",
            "SHELL": "/bin/bash",
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "PAGER": "cat",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        if self.search_path:
            environment["PYTHONPATH"] = self.search_path
        return environment


def find_interpreter() -> Interpreter:
    """Return the interpreter that this process runs on."""
    base = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    folders = [sys.prefix, sys.base_prefix, str(Path(base).parent.parent)]
    found = importlib.util.find_spec("pytest")
    search_path = ""
    if found is not None and found.origin is not None:
        packages = str(Path(found.origin).parent.parent)
        if not _is_within(packages, folders):
            folders.append(packages)
            search_path = packages
    return Interpreter(
        python=os.path.abspath(sys.executable),  # noqa: PTH100, a link must stay a link
        base=base,
        folders=tuple(folders),
        search_path=search_path,
    )


def root_layout(
    interpreter: Interpreter, uid: int, tmpfs_bytes: int, hidden_packages: tuple[str, ...] = ()
) -> Mapping[str, Any]:
    """Return the file system of a box, as the agent's launcher expects it.

    Args:
        interpreter: The interpreter to show.
        uid: User and group of commands inside the box.
        tmpfs_bytes: Room in the workspace, and as much again for scratch files.
        hidden_packages: Import names of packages of which no installed copy is shown.
    """
    symlinks: list[tuple[str, str]] = []
    folders: list[str] = []
    for path in _SYSTEM_FOLDERS:
        if os.path.islink(path):  # noqa: PTH114
            symlinks.append((path, os.readlink(path)))  # noqa: PTH115
        elif Path(path).is_dir():
            folders.append(path)
    for path in sorted(interpreter.folders):
        if not _is_within(path, folders):
            folders.append(path)
    folders += [path for path in _SYSTEM_FILES if Path(path).exists()]
    return {
        "read_only": folders,
        # The shipped tasks lie in here, and each holds its answer.
        "hidden": [
            *([_PACKAGE] if _is_within(_PACKAGE, folders) else []),
            *find_copies(tuple(folders), hidden_packages),
        ],
        "symlinks": symlinks,
        "files": [
            ("/etc/passwd", f"root:x:0:0::/:/bin/false\nagent:x:{uid}:{uid}::/tmp:/bin/bash\n"),
            ("/etc/group", f"root:x:0:\nagent:x:{uid}:\n"),
            ("/etc/hosts", "127.0.0.1 localhost sandbox\n"),
            ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
        ],
        "tmpfs_bytes": tmpfs_bytes,
    }


@lru_cache(maxsize=16)
def find_copies(folders: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the installed copies of packages, those that others bring along included.

    A copy is a folder or module of the package's name among installed packages or in a folder of
    vendored ones, a package of that name that lies in no other, or a wheel that holds one, such as
    pip keeps. pytest's own packages are not among them: the box needs them.

    Args:
        folders: Where to look.
        names: Import names, ``more_itertools``.
    """
    wanted = frozenset(names) - _NEEDED
    found: list[str] = []
    for top in folders if wanted else ():
        for place, inner, files in os.walk(top):
            named = [f"{place}/{name}" for name in inner if name in wanted]
            if _HOLDS_PACKAGES.search(place):
                found += named
                found += [f"{place}/{name}" for name in files if name.partition(".")[0] in wanted]
            elif "__init__.py" not in files:
                found += [path for path in named if Path(path, "__init__.py").is_file()]
            wheels = (f"{place}/{name}" for name in files if name.endswith(".whl"))
            found += [wheel for wheel in wheels if _wheel_holds(wheel, wanted)]
            inner[:] = [
                name
                for name in inner
                if f"{place}/{name}" not in found and _may_hold_copies(place, name)
            ]
    return tuple(found)


def _may_hold_copies(place: str, name: str) -> bool:
    """Tell whether a folder is worth a look: a machine has too many to look into all of them."""
    if place == "/usr":
        return name.startswith("lib") or name in ("local", "share")
    if place == "/usr/share":
        return name == "python-wheels"
    inside = _PACKAGES.search(f"{place}/{name}")
    if inside is None or inside[1].count("/") <= _DEPTH:
        return True
    return any(_VENDORS.search(part) for part in inside[1].split("/"))


def _wheel_holds(path: str, names: frozenset[str]) -> bool:
    try:
        with zipfile.ZipFile(path) as wheel:
            parts = (member.split("/")[:-1] for member in wheel.namelist())
            return any(not names.isdisjoint(each) for each in parts)
    except (OSError, zipfile.BadZipFile):
        return False


def isolated_paths() -> Mapping[str, Sequence[str]]:
    """Return what commands may use where the box has a file system of its own."""
    return {
        "read": ["/"],
        "write": ["/workspace", "/tmp", "/dev/shm"],
        "devices": _DEVICES,
    }


def shared_paths(layout: Mapping[str, Any], folder: str) -> Mapping[str, Sequence[str]]:
    """Return what commands may use of the machine's own file system.

    Args:
        layout: The file system that a box of its own would have.
        folder: The box's folder, with ``workspace``, ``tmp`` and ``run`` in it.
    """
    read, listed = ["/proc", f"{folder}/run", *_SHARED_FILES], []
    hidden = frozenset(map(Path, layout["hidden"]))
    for path in layout["read_only"]:
        kept, passed = _around(Path(path), hidden)
        read += kept
        listed += passed
    return {
        "read": read,
        "listed": listed,
        "write": [f"{folder}/workspace", f"{folder}/tmp"],
        "devices": _DEVICES,
    }


def _around(folder: Path, hidden: frozenset[Path]) -> tuple[list[str], list[str]]:
    """Return everything of a folder but what is hidden in it, and the ways that lead to that.

    Rules can only add to what may be read. Links are left out: it is their targets that count.
    """
    below = frozenset(path for path in hidden if path.is_relative_to(folder))
    if not below:
        return [str(folder)], []
    kept: list[str] = []
    passed: list[str] = []
    if folder not in below:
        passed.append(str(folder))
        for item in folder.iterdir():
            if not item.is_symlink():
                more_kept, more_passed = _around(item, below)
                kept += more_kept
                passed += more_passed
    return kept, passed


def _is_within(path: str, folders: list[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)
