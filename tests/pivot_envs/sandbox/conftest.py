import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.base import Sandbox, SandboxState
from pivot_envs.sandbox.docker import DockerSandbox
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


@functools.cache
def reachable_interpreter() -> Interpreter:
    """Return an interpreter with our packages that any user can run; ours if that is one."""
    ours = find_interpreter()
    python = reachable_python()
    if os.geteuid() != 0 or ours.is_open_to_all():
        return ours
    if python is None:
        pytest.skip("needs an interpreter that every user can reach")
    folder = tempfile.mkdtemp(prefix="python-")
    atexit.register(shutil.rmtree, folder)
    Path(folder).chmod(0o755)
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(Path(folder).glob("lib/python3*/site-packages"))
    packages.rmdir()
    packages.symlink_to(Path(pytest.__file__).parents[1])
    command = Path(folder, "bin", "pytest")
    command.write_text(f"#!{folder}/bin/python\nimport pytest\nraise SystemExit(pytest.main())\n")
    command.chmod(0o755)
    return replace(
        ours,
        python=f"{folder}/bin/python",
        base=str(Path(python).resolve()),
        folders=(folder, str(packages.resolve()), "/usr"),
    )


@pytest.fixture(scope="session")
def python_for_all() -> str:
    """An interpreter that any user can run, of the version whose packages we have."""
    return reachable_python() or pytest.skip("needs an interpreter that every user can reach")


class ReachableBox(EmbeddedSandbox):
    """A box whose commands can run Python even where ours lies in a folder of root's own."""

    def _interpreter(self) -> Interpreter:
        return reachable_interpreter()


@pytest.fixture(
    scope="module",
    params=["namespaces", "landlock", pytest.param("docker", marks=pytest.mark.docker)],
)
def level(request: pytest.FixtureRequest) -> str:
    """The level of the box."""
    return str(request.param)


MakeBox = Callable[..., Sandbox]


@pytest.fixture(scope="module")
def make_box(level: str, request: pytest.FixtureRequest) -> MakeBox:
    """Return boxes of the level, not started; the test is skipped where there can be none."""
    if level == "docker":
        image = request.getfixturevalue("docker_image")
        return lambda **limits: DockerSandbox(image=image, **limits)
    return _embedded_boxes(level)


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def make_embedded_box(request: pytest.FixtureRequest) -> MakeBox:
    """Return embedded boxes of each level, not started."""
    return _embedded_boxes(request.param)


def _embedded_boxes(level: str) -> MakeBox:
    def make(**limits: int) -> Sandbox:
        kind = EmbeddedSandbox if level == "namespaces" else ReachableBox
        return kind(level=level, **limits)

    try:
        with make():
            pass
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    return make


@pytest.fixture(scope="module")
def shared_box(make_box: MakeBox) -> Iterator[Sandbox]:
    with make_box() as sandbox:
        yield sandbox


@pytest.fixture
def box(shared_box: Sandbox) -> Sandbox:
    shared_box.start()
    shared_box.load(EMPTY)
    return shared_box


@pytest.fixture(scope="session")
def list_scratch() -> str:
    """A command that lists /tmp but for an interpreter that lies there and is shown read-only."""
    folders = [Path(prefix).parts for prefix in (sys.prefix, sys.base_prefix)]
    shown = [parts[2] for parts in folders if parts[1] == "tmp"]
    return " | ".join(["ls $TMPDIR", *(f"grep -vxF {name}" for name in shown)])
