"""The shared libraries that programs load."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from pivot_envs.errors import SandboxUnavailableError

_LIBRARY = re.compile(r"^\s*(?:(\S+) => )?(/\S+) \(0x", re.MULTILINE)


def shared_libraries(programs: Iterable[Path]) -> set[tuple[str, Path]]:
    """Return what programs, or libraries, load: the name by which they ask for it, and where it is.

    The loader, which the kernel starts, has its path for a name. What cannot be found is left out.

    Raises:
        SandboxUnavailableError: This machine has no ``ldd``.
    """
    command = ["ldd", *map(str, programs)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise SandboxUnavailableError(
            "ldd is needed to find the libraries of programs; it comes with the C library's tools"
        ) from error
    return {(name or path, Path(path)) for name, path in _LIBRARY.findall(run.stdout)}
