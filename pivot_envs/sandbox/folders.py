"""The folder of a box that has no mounts of its own."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from pivot_envs.errors import SandboxUnavailableError

_STEERING_FILES = (
    *("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml"),
    *("tox.ini", "setup.cfg", "setup.py", "conftest.py"),
)
"""pytest looks for these in every folder above the workspace too."""

# systemd's for services that have no user; far from those that distributions give to anyone.
_SPARE_UIDS = range(61184, 65520)


def spare_uid() -> int:
    """Return the number of a user that nothing on this machine runs as."""
    used = set()
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            with suppress(OSError):
                used.add(Path(f"/proc/{name}").stat().st_uid)
    return secrets.choice([uid for uid in _SPARE_UIDS if uid not in used])


def make_folder(owner: int | None) -> str:
    """Return a new folder with ``workspace``, ``tmp`` and ``run`` in it.

    Args:
        owner: User of the first two, and its group; ``None`` for the present user.

    Raises:
        SandboxUnavailableError: There is no place for it.
    """
    folder = Path(tempfile.mkdtemp(prefix="pivot-", dir=_place()))
    folder.chmod(0o755)
    for name in ("tmp", "workspace", "run"):
        (folder / name).mkdir()
        if owner is not None and name != "run":
            os.chown(folder / name, owner, owner)
    return str(folder)


def _place() -> Path:
    places = [Path(tempfile.gettempdir()).resolve(), Path("/var/tmp"), Path("/dev/shm")]
    found: list[str] = []
    for place in places:
        steering = [
            folder / name
            for folder in (place, *place.parents)
            for name in _STEERING_FILES
            if os.path.lexists(folder / name)
        ]
        if place.is_dir() and os.access(place, os.W_OK | os.X_OK) and not steering:
            return place
        found += map(str, steering)
    raise SandboxUnavailableError(
        f"no folder for temporary files is free of files that steer pytest below it: remove {found}"
        f", or set TMPDIR to another folder"
    )
