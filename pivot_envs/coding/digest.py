"""The digest of a workspace, by which states are compared."""

from pivot_envs.errors import UnsavableError
from pivot_envs.sandbox.base import Sandbox
from pivot_envs.snapshot import sha256

_CACHES = ("__pycache__", ".pytest_cache")


def workspace_digest(sandbox: Sandbox) -> str:
    """Return the SHA-256 of all that a sandbox's workspace holds but caches.

    All workspaces that cannot be saved have the same digest, which no other has.

    Raises:
        SandboxError: The sandbox failed.
    """
    try:
        files = sandbox.save().files
    except UnsavableError:
        return sha256(b"no state")
    entries = (
        f"{entry.path}\0{entry.kind}\0{entry.mode}\0{entry.content}\n"
        for entry in files
        if not any(part in _CACHES for part in entry.path.split("/"))
    )
    return sha256("".join(entries).encode("utf-8", errors="surrogateescape"))
