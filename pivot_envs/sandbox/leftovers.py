"""Leftovers, containers whose process ended without removing them."""

import contextlib
from dataclasses import dataclass

from pivot_envs.sandbox.engine import OWNER_LABEL, Owner, connect, translated


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was found at the engine that this process reaches."""

    removed: tuple[str, ...]
    """Ids of the containers that were removed."""
    kept: tuple[str, ...]
    """Ids of those whose process lives, or cannot be seen from here."""


def prune() -> Pruned:
    """Remove every container of this project whose process has ended.

    Raises:
        SandboxUnavailableError: There is no engine.
        SandboxError: The engine refuses.
    """
    import docker

    removed: list[str] = []
    kept: list[str] = []
    with contextlib.closing(connect()) as engine, translated("leftovers cannot be removed"):
        for found in engine.containers(all=True, filters={"label": OWNER_LABEL}):
            owner = Owner.parse(found["Labels"][OWNER_LABEL])
            if owner is None or not owner.is_gone():
                kept.append(found["Id"])
                continue
            try:
                engine.remove_container(found["Id"], force=True, v=True)
            except docker.errors.APIError as error:
                # It is gone, or the engine removes it already.
                if error.status_code not in (404, 409):
                    raise
            removed.append(found["Id"])
    return Pruned(tuple(removed), tuple(kept))
