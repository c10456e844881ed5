"""Box, what the agent knows of the box it lives in: paths, users and limits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

WORKSPACE = "/workspace"
SCRATCH = "/tmp"


@dataclass(frozen=True)
class Box:
    """The agent's own description of its box."""

    level: str
    """``namespaces``, ``landlock`` or ``rlimits``."""
    workspace: str
    """Real path of the workspace; ``/workspace`` wherever mounts are possible."""
    scratch: str
    """Real path of the commands' scratch folder, their HOME; emptied by a load."""
    runtime: str
    """Folder that the agent writes and commands only read."""
    command_ids: tuple[int, int] | None
    """uid and gid of commands where they differ from the agent's own."""
    environment: Mapping[str, str]
    """What commands start with."""
    python: str
    """The interpreter that ``python`` means inside the box; empty where there is none."""
    memory_limit_bytes: int
    max_processes: int
    max_file_bytes: int
    max_output_bytes: int
    kept_paths: frozenset[str] = field(default_factory=frozenset)
    """Read-only mounts; those below ``scratch`` are spared when it is emptied."""

    def to_real(self, path: str) -> str:
        """Return where an inside path such as ``/workspace/a`` lies for this process."""
        if path == WORKSPACE or path.startswith(WORKSPACE + "/"):
            return self.workspace + path[len(WORKSPACE) :]
        return path

    def to_inside(self, path: str) -> str:
        """Return the ``/workspace`` form of a real path, so that it means the same elsewhere."""
        if path == self.workspace or path.startswith(self.workspace + "/"):
            return WORKSPACE + path[len(self.workspace) :]
        return path

    def shown(self, output: bytes) -> bytes:
        """Return output in which the box's folders have the same names as in every other box."""
        for real, inside in ((self.workspace, WORKSPACE), (self.scratch, SCRATCH)):
            if real != inside:
                output = output.replace(os.fsencode(real), os.fsencode(inside))
        return output

    def is_kept(self, path: str) -> bool:
        """Tell whether a path is, or holds, a read-only mount."""
        return any(kept == path or kept.startswith(path + "/") for kept in self.kept_paths)

    def runtime_file(self, name: str, content: bytes) -> str:
        """Write a file that commands may read, and return its path."""
        path = os.path.join(self.runtime, name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)
        return path
