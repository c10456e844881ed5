"""Snapshot, the saved state of an episode: plain data that any process or machine can restore."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pivot_envs.errors import SnapshotError

FORMAT_VERSION = 1

Fidelity = Literal["exact", "replay", "park"]

_FIELD_TYPES: Mapping[str, type] = {
    "env_id": str,
    "env_kwargs": dict,
    "task_id": str,
    "task_hash": str,
    "elapsed_turns": int,
    "observation": str,
    "messages": list,
    "fidelity": str,
    "state": dict,
    "digest": str,
}


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the conversation between environment and agent."""

    role: Literal["user", "assistant", "tool"]
    """``user``: the task. ``assistant``: an action. ``tool``: an observation that follows one."""
    content: str


def sha256(content: bytes) -> str:
    """Return the hexadecimal SHA-256 of ``content``."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A mid-episode state of one environment.

    Build one with ``Snapshot.create``, which fills in the digest; restore it with
    ``env.reset(options={"snapshot": snapshot})``.
    """

    env_id: str
    """Registered id of the environment, such as ``pivot/Coding-v0``."""
    env_kwargs: Mapping[str, Any]
    """JSON-able constructor arguments that decide what the state means."""
    task_id: str
    task_hash: str
    """SHA-256 of the task, so that a task that changed under its id is noticed."""
    elapsed_turns: int
    observation: str
    """The last observation, shown again on restore."""
    messages: tuple[Message, ...]
    """The conversation so far, task first."""
    fidelity: Fidelity
    state: Mapping[str, Any]
    """JSON-able state private to the environment; names its blobs by SHA-256."""
    blobs: Mapping[str, bytes] = field(repr=False)
    """Payload by SHA-256. Blobs are shared between snapshots and never changed."""
    digest: str
    """SHA-256 over the manifest; blobs are covered through their names."""

    @classmethod
    def create(
        cls,
        *,
        env_id: str,
        env_kwargs: Mapping[str, Any],
        task_id: str,
        task_hash: str,
        elapsed_turns: int,
        observation: str,
        messages: tuple[Message, ...],
        fidelity: Fidelity,
        state: Mapping[str, Any],
        blobs: Mapping[str, bytes],
    ) -> "Snapshot":
        """Return a snapshot with its digest filled in.

        Raises:
            SnapshotError: ``state`` or ``env_kwargs`` cannot be written as JSON.
        """
        unsigned = cls(
            env_id=env_id,
            env_kwargs=env_kwargs,
            task_id=task_id,
            task_hash=task_hash,
            elapsed_turns=elapsed_turns,
            observation=observation,
            messages=messages,
            fidelity=fidelity,
            state=state,
            blobs=blobs,
            digest="",
        )
        try:
            return replace(unsigned, digest=unsigned.computed_digest())
        except (TypeError, ValueError) as error:
            raise SnapshotError(f"the state cannot be written as JSON: {error}") from error

    def manifest(self) -> dict[str, Any]:
        """Return everything but the blobs' content as JSON-able data."""
        return {
            "format": "pivot-snapshot",
            "version": FORMAT_VERSION,
            "env_id": self.env_id,
            "env_kwargs": dict(self.env_kwargs),
            "task_id": self.task_id,
            "task_hash": self.task_hash,
            "elapsed_turns": self.elapsed_turns,
            "observation": self.observation,
            "messages": [[message.role, message.content] for message in self.messages],
            "fidelity": self.fidelity,
            "state": dict(self.state),
            "blobs": sorted(self.blobs),
            "digest": self.digest,
        }

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], blobs: Mapping[str, bytes]) -> "Snapshot":
        """Rebuild a snapshot from ``manifest()`` and its blobs.

        Raises:
            SnapshotError: The manifest is of another format or version, or a field is missing.
        """
        version = manifest.get("version")
        if manifest.get("format") != "pivot-snapshot" or version != FORMAT_VERSION:
            raise SnapshotError(
                f"expected a pivot-snapshot of version {FORMAT_VERSION}, got "
                f"{manifest.get('format')!r} of version {version!r}; "
                "save it again with this release"
            )
        for key, expected in _FIELD_TYPES.items():
            if not isinstance(manifest.get(key), expected):
                raise SnapshotError(
                    f"snapshot manifest is damaged: {key!r} must be a {expected.__name__}, "
                    f"got {manifest.get(key)!r:.60}"
                )
        try:
            return cls(
                env_id=manifest["env_id"],
                env_kwargs=manifest["env_kwargs"],
                task_id=manifest["task_id"],
                task_hash=manifest["task_hash"],
                elapsed_turns=manifest["elapsed_turns"],
                observation=manifest["observation"],
                messages=tuple(Message(role, text) for role, text in manifest["messages"]),
                fidelity=manifest["fidelity"],
                state=manifest["state"],
                blobs=blobs,
                digest=manifest["digest"],
            )
        except (TypeError, ValueError) as error:
            raise SnapshotError(f"snapshot manifest is damaged: {error!r}") from error

    def computed_digest(self) -> str:
        """Return the digest that the manifest's content asks for."""
        content = {key: value for key, value in self.manifest().items() if key != "digest"}
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return sha256(text.encode("ascii"))

    def verify(self) -> None:
        """Check the digest and every blob.

        Raises:
            SnapshotError: The manifest or a blob was changed.
        """
        if self.computed_digest() != self.digest:
            raise SnapshotError(
                f"snapshot digest is {self.digest[:12]!r} but its content hashes to "
                f"{self.computed_digest()[:12]!r}: it was changed after it was saved"
            )
        for name, blob in self.blobs.items():
            if sha256(blob) != name:
                raise SnapshotError(f"blob {name[:12]} does not hash to its name: it is damaged")
