"""Limits, what a box may use: part of every snapshot, and the same for boxes of every kind."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pivot_envs.errors import SnapshotError

_MEGABYTE = 1024 * 1024
_LEAST_CPUS = 0.01


@dataclass(frozen=True, slots=True)
class Limits:
    """What the commands of a box may use.

    Raises:
        ValueError: A number is below 1, or ``cpus`` is below 0.01 or not finite.
    """

    memory_bytes: int = 1024 * _MEGABYTE
    """Embedded: of each process, and room in the workspace. Docker: of the box in sum, files in
    memory included."""
    processes: int = 128
    """Most processes and threads that commands may have at a time."""
    file_bytes: int = 64 * _MEGABYTE
    """Largest file that a command can write."""
    output_bytes: int = 20_000
    """Output kept of a command; the middle of more is left out."""
    cpus: float | None = None
    """Processors' worth of time, such as 0.5, at least 0.01; ``None`` for no limit."""
    network: str = "none"
    """``none``, or the name of a network of the Docker engine."""

    def __post_init__(self) -> None:
        numbers = (self.memory_bytes, self.processes, self.file_bytes, self.output_bytes)
        # An engine takes less for no limit at all.
        are_cpus_fit = self.cpus is None or _LEAST_CPUS <= self.cpus < float("inf")
        if min(numbers) < 1 or not are_cpus_fit or not self.network:
            raise ValueError(
                f"every limit must be at least 1, and cpus at least {_LEAST_CPUS}, got {self}"
            )

    def as_json(self) -> dict[str, Any]:
        """Return the limits as JSON-able data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Limits":
        """Rebuild the limits from ``as_json()``.

        Raises:
            ValueError: A limit is missing, unknown, not of its type, or out of range.
        """
        names = {field.name for field in fields(cls)}
        if set(data) != names:
            odd = sorted(names ^ set(data))
            raise ValueError(f"limits are {sorted(names)}; unknown or missing: {odd}")
        for name, value in data.items():
            kinds = {"network": (str,), "cpus": (int, float, type(None))}.get(name, (int,))
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ValueError(f"the limit {name} cannot be {value!r:.60}")
        return cls(**data)

    def restored(self, saved: Mapping[str, Any] | None) -> "Limits":
        """Return the limits of a snapshot, where ``self`` is what may be given at most.

        Older snapshots name none and get these.

        Raises:
            SnapshotError: They give more: no snapshot, of whatever origin, may decide that.
            ValueError: They are no limits.
        """
        limits = self if saved is None else self.from_json(saved)
        wider = {name: getattr(limits, name) for name in limits.excess(self)}
        if wider:
            raise SnapshotError(
                f"the snapshot was taken under wider limits than this environment's: {wider}; "
                f"make the environment with limits={wider} to resume it"
            )
        return limits

    def excess(self, allowed: "Limits") -> list[str]:
        """Return the names of the limits that give more than ``allowed`` does."""
        wide = {
            "memory_bytes": self.memory_bytes > allowed.memory_bytes,
            "processes": self.processes > allowed.processes,
            "file_bytes": self.file_bytes > allowed.file_bytes,
            "output_bytes": self.output_bytes > allowed.output_bytes,
            "cpus": (self.cpus or float("inf")) > (allowed.cpus or float("inf")),
            "network": self.network not in ("none", allowed.network),
        }
        return [name for name, exceeds in wide.items() if exceeds]
