import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.base import SandboxState
from pivot_envs.sandbox.embedded import EmbeddedSandbox
from pivot_envs.sandbox.layout import Interpreter, find_interpreter

EMPTY = SandboxState((), "", {})


def reachable_python() -> str | None:
    """Return an interpreter that any user can run, of the version whose packages we have."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name in (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")):
        if name and all(folder.stat().st_mode & 1 for folder in Path(name).resolve().parents):
            return name
    return None


class ReachableBox(EmbeddedSandbox):
    """A box whose commands can run Python even where ours lies in a folder of root's own."""

    def _interpreter(self) -> Interpreter:
        ours = find_interpreter()
        if os.geteuid() != 0 or ours.is_open_to_all():
            return ours
        python = reachable_python()
        if python is None:
            pytest.skip("needs an interpreter that every user can reach")
        packages = str(Path(pytest.__file__).parents[1])
        return replace(
            ours, python=python, base=python, folders=("/usr", packages), search_path=packages
        )


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def level(request: pytest.FixtureRequest) -> str:
    """The level of the box."""
    return str(request.param)


def make_box(level: str, **limits: int) -> EmbeddedSandbox:
    """Return a box of a level, started, or skip the test."""
    kind = EmbeddedSandbox if level == "namespaces" else ReachableBox
    sandbox = kind(level=level, **limits)
    try:
        sandbox.start()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    return sandbox


@pytest.fixture(scope="module")
def shared_box(level: str) -> Iterator[EmbeddedSandbox]:
    with make_box(level) as sandbox:
        yield sandbox


@pytest.fixture
def box(shared_box: EmbeddedSandbox) -> EmbeddedSandbox:
    shared_box.start()
    shared_box.load(EMPTY)
    return shared_box


@pytest.fixture(scope="session")
def list_scratch() -> str:
    """A command that lists /tmp but for an interpreter that lies there and is shown read-only."""
    folders = [Path(prefix).parts for prefix in (sys.prefix, sys.base_prefix)]
    shown = [parts[2] for parts in folders if parts[1] == "tmp"]
    return " | ".join(["ls $TMPDIR", *(f"grep -vxF {name}" for name in shown)])
