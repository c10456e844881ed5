"""Baked workspaces: images of which a folder is where their boxes' workspaces start from."""

import contextlib
import io
import json
import re
from pathlib import PurePosixPath
from typing import Any

from pivot_envs.errors import SandboxError
from pivot_envs.sandbox.base import WORKSPACE
from pivot_envs.sandbox.engine import (
    IMAGE_LABEL,
    WORKSPACE_LABEL,
    connect,
    find_image,
    translated,
)

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BUILD_TIMEOUT_S = 600
"""Until the engine's next sign of life."""
_KEPT = "/.pivot-workspace"
_MOVE = 'mv -- "$0" "$1" && if [ "$0" = "$2" ]; then mkdir "$2"; else ln -s "$2" "$0"; fi'


def bake_workspace(image: str, folder: str, name: str) -> str:
    """Make an image whose boxes start with a folder of another image as their workspace.

    The folder is kept aside in the new image, and a link to ``/workspace`` takes its place, so
    that packages that were installed from it are still found. Each box gets a copy of its own,
    made inside the container; nothing is uploaded, neither then nor by a load of the same files.

    Args:
        image: An image that the engine has, with ``sh``, ``mv`` and ``ln``.
        folder: Absolute path of a folder in it, such as ``/testbed``.
        name: Name of the new image, which an image that had it loses.

    Returns:
        The new image's id.

    Raises:
        ValueError: ``folder`` is no absolute path of a folder that can be moved.
        SandboxUnavailableError: There is no engine, or no such image.
        SandboxError: The image has no such folder, or the engine refuses.
    """
    path = PurePosixPath(folder)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise ValueError(f"folder must be the absolute path of a folder, got {folder!r}")
    with contextlib.closing(connect()) as engine:
        user = find_image(engine, image)["Config"].get("User") or "0"
        moves = json.dumps(["sh", "-c", _MOVE, str(path), _KEPT, WORKSPACE])
        steps = [
            f"FROM {image}",
            "USER 0:0",
            f"RUN {moves}",
            f"USER {user}",
            f'LABEL {WORKSPACE_LABEL}="{_KEPT}" {IMAGE_LABEL}="baked"',
        ]
        with translated(f"the workspace of {image} cannot be baked"):
            _build(engine, "\n".join(steps), name)
            return str(engine.inspect_image(name)["Id"])


def _build(engine: Any, steps: str, name: str) -> None:
    printed = []
    for part in engine.build(
        fileobj=io.BytesIO(steps.encode()),
        tag=name,
        rm=True,
        forcerm=True,
        network_mode="none",
        timeout=_BUILD_TIMEOUT_S,
        decode=True,
    ):
        printed.append(part.get("stream", ""))
        if "error" in part:
            # Whatever the pieces that it comes in: all of the last step, without its colours.
            said = _COLOUR.sub("", "".join(printed).rpartition("Step ")[2])
            raise SandboxError(f"{part['error']}: Step {said.strip()}")
