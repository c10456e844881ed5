"""CarriedPython, what the agent needs of this machine's Python in a container that has none."""

import io
import json
import os
import py_compile
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.layout import AGENT
from pivot_envs.sandbox.libraries import shared_libraries

# With -I and -S, the path is the standard library's: its archive, its folder, its extensions.
_LIST = """
import json, sys
paths = sys.path[:]
sys.path.insert(0, sys.argv[1])
import agent.container
files = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
print(json.dumps([sys.base_prefix, paths, files]))
"""


@dataclass(frozen=True, slots=True)
class CarriedPython:
    """An interpreter with its loader, its libraries, and the modules that the agent imports."""

    program: tuple[str, ...]
    """How to start it; paths are relative to the folder that it lies in."""
    files: Mapping[str, bytes] = field(repr=False)
    """Contents by such paths."""

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(map(len, self.files.values()))


@cache
def carried_python() -> CarriedPython:
    """Return this process's own interpreter, made ready once.

    It finds everything in its own folder, so that it does not matter what C library the container
    has, or whether it has one.

    Raises:
        SandboxUnavailableError: This machine's Python is none that can be carried.
    """
    interpreter = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    if sys.platform != "linux":
        raise SandboxUnavailableError(f"Python for {sys.platform} does not run in a container")
    prefix, (archive, folder, extensions), modules = _modules(interpreter)
    binaries = [Path(path) for path in modules if path.startswith(extensions)]
    found = dict(shared_libraries([interpreter, *binaries]))
    loaders = [name for name in found if name.startswith("/")]
    if not loaders:
        raise SandboxUnavailableError(f"ldd does not tell what {interpreter} loads")
    sources = [path for path in modules if path.startswith(folder) and path.endswith(".py")]
    compiled = _compiled({os.path.relpath(path, folder): path for path in sources})

    def inside(path: str) -> str:
        return os.path.relpath(path, prefix)

    program = f"bin/{interpreter.name}"
    files = {
        "ld.so": found[loaders[0]].read_bytes(),
        program: interpreter.read_bytes(),
        **{f"lib/{name}": path.read_bytes() for name, path in found.items() if "/" not in name},
        **{f"{inside(extensions)}/{path.name}": path.read_bytes() for path in binaries},
        inside(archive): _zip(compiled),
        # By this file Python tells where its library is.
        f"{inside(folder)}/os.pyc": compiled["os.pyc"],
    }
    return CarriedPython(("ld.so", "--library-path", "lib", program), files)


def _modules(interpreter: Path) -> tuple[str, Sequence[str], Sequence[str]]:
    """Return an interpreter's prefix, its paths, and the files that the agent makes it load."""
    command = [str(interpreter), "-I", "-S", "-B", "-c", _LIST, str(AGENT.parent)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SandboxUnavailableError(f"{interpreter} does not run the agent: {run.stderr}")
    prefix, paths, files = json.loads(run.stdout)
    if len(paths) != len(("archive", "folder", "extensions")):
        raise SandboxUnavailableError(f"{interpreter} keeps its library in unusual places: {paths}")
    return prefix, paths, [file for file in files if not file.startswith(str(AGENT))]


def _compiled(sources: Mapping[str, str]) -> Mapping[str, bytes]:
    """Return modules compiled in a way that never looks for the source, by new path."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    found = {}
    with tempfile.TemporaryDirectory(prefix="pivot-python-") as folder:
        place = Path(folder, "module.pyc")
        for name, source in sources.items():
            py_compile.compile(source, str(place), name, doraise=True, invalidation_mode=mode)
            found[f"{name}c"] = place.read_bytes()
    return found


def _zip(files: Mapping[str, bytes]) -> bytes:
    """Return an archive that Python can import from without a decompressor."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()
