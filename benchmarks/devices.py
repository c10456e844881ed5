"""Devices, where the model of a benchmark runs."""

import torch

from benchmarks.protocol import PresetName


def find_device(wanted: str | None, preset: PresetName) -> str:
    """Return the name of a device for ``torch``.

    Args:
        wanted: A name, or ``auto`` for the GPU if there is one; ``None`` is ``auto`` for the preset
            ``gpu`` and the processor for the others.
        preset: Whose default counts.

    Raises:
        ValueError: torch has no such device.
    """
    if wanted is None:
        wanted = "auto" if preset == "gpu" else "cpu"
    if wanted != "auto":
        try:
            torch.device(wanted)
        except RuntimeError as error:
            raise ValueError(
                f"expected --device to be auto or a device of torch such as cpu or cuda:0, got "
                f"{wanted!r}"
            ) from error
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def gpu_name(device: torch.device) -> str | None:
    """Return the model of the GPU, ``None`` if the device is none."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else None
