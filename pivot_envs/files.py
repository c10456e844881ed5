"""Files that are read whole, and replaced whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from pivot_envs.errors import StoreError


def replace_file(path: Path, chunks: Iterable[bytes], *, durable: bool = True) -> None:
    """Write a file so that readers see either the old content or all of the new one.

    Args:
        path: File to write; its folders are created.
        chunks: Content, in order. If producing it raises, nothing is written.
        durable: Whether the content has to outlast a power failure, which costs milliseconds.

    Raises:
        StoreError: The file cannot be written, for instance because the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            stream.writelines(chunks)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; what was stored before is unharmed"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_file(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        StoreError: The file is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error


def remove_file(path: Path) -> None:
    """Remove a file.

    Raises:
        StoreError: It is not there or cannot be removed.
    """
    try:
        path.unlink()
    except OSError as error:
        raise StoreError(f"cannot remove {path}: {error.strerror or error}") from error


def is_written(path: Path) -> bool:
    """Tell whether the file is there; a power failure leaves empty ones, which do not count."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
