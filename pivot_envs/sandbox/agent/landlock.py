"""Landlock, the kernel's own list of the paths that a process and its descendants may use."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass

# The same numbers on every machine.
_SYS_CREATE_RULESET, _SYS_ADD_RULE, _SYS_RESTRICT_SELF = 444, 445, 446
_GET_VERSION, _RULE_PATH_BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE, _MAKE_DIR, _MAKE_REG = 3 << 4, 1 << 7, 1 << 8
_MAKE_SOCK, _MAKE_FIFO, _MAKE_SYM = 1 << 9, 1 << 10, 1 << 12
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FOR_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

_READ = _EXECUTE | _READ_FILE | _READ_DIR
# Devices are made nowhere.
_CHANGE = _WRITE_FILE | _REMOVE | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO | _MAKE_SYM
_WRITE = _READ | _CHANGE | _REFER | _TRUNCATE
_DEVICE = _READ_FILE | _WRITE_FILE | _IOCTL_DEV

_ALL_NETWORK = 3
_ALL_SCOPES = 3
"""Abstract sockets and signals reach no process outside the domain."""

MIN_ABI = 3
"""Linux 6.2; before, files could be truncated, or not be moved between folders."""

_NETWORK_ABI, _IOCTL_ABI, _SCOPE_ABI = 4, 5, 6

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


@dataclass(frozen=True)
class Paths:
    """What may be used of the file system; paths that do not exist are left out."""

    read: tuple[str, ...] = ()
    """Files, and folders with all that is below them, to read and execute."""
    listed: tuple[str, ...] = ()
    """Folders that can be listed, with all folders below them; their files cannot be read."""
    write: tuple[str, ...] = ()
    """Folders in which everything can be done but making devices."""
    devices: tuple[str, ...] = ()
    """Devices to read and write."""


def abi() -> int:
    """Return the version of Landlock that this kernel has, 0 for none."""
    return max(0, int(_libc.syscall(_SYS_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION)))


def create_ruleset(paths: Paths, *, network: bool, signals: bool) -> int:
    """Return the descriptor of a set of rules.

    Args:
        paths: All that may be used.
        network: Whether TCP is allowed; forbidden from Linux 6.7 on.
        signals: Whether signals to processes that are not under these rules are allowed, and
            abstract sockets with them; forbidden from Linux 6.12 on.

    Raises:
        OSError: The kernel has no Landlock, or one below ``MIN_ABI``.
    """
    version = abi()
    if version < MIN_ABI:
        raise OSError(f"Landlock {MIN_ABI} (Linux 6.2) is needed, this kernel has {version}")
    handled = (1 << (16 if version >= _IOCTL_ABI else 15)) - 1
    attributes = [handled]
    if version >= _NETWORK_ABI:
        attributes.append(0 if network else _ALL_NETWORK)
    if version >= _SCOPE_ABI:
        attributes.append(0 if signals else _ALL_SCOPES)
    packed = struct.pack(f"={len(attributes)}Q", *attributes)
    ruleset = _checked(_SYS_CREATE_RULESET, packed, ctypes.c_size_t(len(packed)), 0)
    for names, rights in (
        (paths.read, _READ),
        (paths.listed, _READ_DIR),
        (paths.write, _WRITE),
        (paths.devices, _DEVICE),
    ):
        _allow(ruleset, names, rights & handled)
    return ruleset


def restrict(ruleset: int) -> None:
    """Restrict this process and its descendants from now on.

    Raises:
        OSError: The kernel refuses.
    """
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _checked(_SYS_RESTRICT_SELF, ruleset, 0)


def _allow(ruleset: int, paths: Iterable[str], rights: int) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_PATH)
            try:
                granted = rights if os.path.isdir(path) else rights & _FOR_FILES
                rule = struct.pack("=Qi", granted, descriptor)
                _checked(_SYS_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
            finally:
                os.close(descriptor)


def _checked(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result
