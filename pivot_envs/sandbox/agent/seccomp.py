"""The filter of system calls, assembled for the kernel's packet filter machine."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Sequence

from .syscalls import NUMBERS

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_PR_SET_NO_NEW_PRIVS = 38
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_IF_EQUAL, _IF_ANY_BIT, _IF_AT_LEAST = 0x15, 0x45, 0x35
_NUMBER_OFFSET, _ARCH_OFFSET = 0, 4

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""

_ALLOW: Instruction = (_RETURN, 0, 0, 0x7FFF0000)
_KILL_PROCESS: Instruction = (_RETURN, 0, 0, 0x80000000)
_REFUSE: Instruction = (_RETURN, 0, 0, 0x00050000 | errno.EPERM)
_UNKNOWN: Instruction = (_RETURN, 0, 0, 0x00050000 | errno.ENOSYS)

_REFUSED = (
    # Mounts, and other root folders.
    *("mount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    # Namespaces; clone is looked at below.
    *("unshare", "setns"),
    # Other processes' memory and descriptors.
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd"),
    *("kcmp", "move_pages", "migrate_pages"),
    # Large or rarely used parts of the kernel, where most of its holes were found.
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "bpf"),
    *("perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("iopl", "ioperm", "modify_ldt", "uselib", "lookup_dcookie", "nfsservctl"),
    # Things that no namespace or path rule covers: keys, and files by number.
    *("keyctl", "add_key", "request_key", "open_by_handle_at", "name_to_handle_at"),
    # Memory that outlives every process and counts for none.
    *("shmget", "msgget", "semget"),
    # The machine itself.
    *("swapon", "swapoff", "reboot", "acct", "quotactl", "quotactl_fd", "syslog", "vhangup"),
    *("fanotify_init", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime"),
    *("sethostname", "setdomainname"),
)

_CLONE_NEW_ANYTHING = 0x7E020000
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, _NETLINK_ROUTE = 1, 2, 10, 16, 0
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_PERSONALITY_QUERY, _PERSONALITY_LINUX = 0xFFFFFFFF, 0
_S_IFMT, _S_IFCHR, _S_IFBLK = 0xF000, 0x2000, 0x6000
_EVERY_PROCESS = 0xFFFFFFFF


def build_filter(machine: str, *, isolated: bool) -> bytes:
    """Return the filter program for commands.

    Args:
        machine: As ``os.uname`` names it.
        isolated: Whether commands have network, process and IPC namespaces of their own. If not,
            sockets, message queues and signals to all processes are refused as well.

    Raises:
        OSError: The machine's system calls are not known here.
    """
    if machine not in NUMBERS:
        known = ", ".join(NUMBERS)
        raise OSError(f"the filter of system calls knows {known}, this machine is {machine}")
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH_OFFSET),
        (_IF_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        _KILL_PROCESS,
        (_LOAD, 0, 0, _NUMBER_OFFSET),
    ]
    if machine == "x86_64":
        program += [(_IF_AT_LEAST, 0, 1, _X32_BIT), _REFUSE]
    numbers = NUMBERS[machine]
    for name, body in _checks(isolated):
        if name in numbers:
            program += [(_IF_EQUAL, 0, len(body), numbers[name]), *body]
    program.append(_ALLOW)
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def install(program: bytes) -> None:
    """Filter this process and its descendants from now on; they can gain no privileges either.

    Raises:
        OSError: The kernel has no such filters, or does not take this one.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = _Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def _checks(isolated: bool) -> Iterable[tuple[str, Sequence[Instruction]]]:
    yield from ((name, [_REFUSE]) for name in _REFUSED)
    # The flags of clone3 lie in memory, where no filter can look; libc falls back on clone.
    yield "clone3", [_UNKNOWN]
    yield "clone", [_load(0), (_IF_ANY_BIT, 0, 1, _CLONE_NEW_ANYTHING), _REFUSE, _ALLOW]
    yield "ioctl", _refuse_if(1, (_TIOCSTI, _TIOCLINUX))
    yield "personality", _allow_if(0, (_PERSONALITY_QUERY, _PERSONALITY_LINUX))
    yield "mknod", _refuse_devices(1)
    yield "mknodat", _refuse_devices(2)
    yield "prlimit64", _only_own_limits()
    # Pairs are connected to nothing but each other.
    yield "socketpair", _allow_if(0, (_AF_UNIX,))
    if isolated:
        yield "socket", _usual_sockets()
        return
    yield "socket", [_REFUSE]
    yield "kill", _refuse_if(0, (_EVERY_PROCESS,))
    yield "mq_open", [_REFUSE]


def _load(argument: int, *, upper: bool = False) -> Instruction:
    """Load half of an argument; both machines have the lower half first."""
    return (_LOAD, 0, 0, 16 + 8 * argument + 4 * upper)


def _refuse_if(argument: int, values: Iterable[int]) -> list[Instruction]:
    tests = [step for value in values for step in ((_IF_EQUAL, 0, 1, value), _REFUSE)]
    return [_load(argument), *tests, _ALLOW]


def _allow_if(argument: int, values: Iterable[int]) -> list[Instruction]:
    tests = [step for value in values for step in ((_IF_EQUAL, 0, 1, value), _ALLOW)]
    return [_load(argument), *tests, _REFUSE]


def _refuse_devices(argument: int) -> list[Instruction]:
    checks = _refuse_if(argument, (_S_IFCHR, _S_IFBLK))
    return [checks[0], (_AND, 0, 0, _S_IFMT), *checks[1:]]


def _usual_sockets() -> list[Instruction]:
    families = _allow_if(0, (_AF_UNIX, _AF_INET, _AF_INET6))[:-1]
    # Without it getaddrinfo and "ip" do not know their own loopback.
    routes = _allow_if(2, (_NETLINK_ROUTE,))
    return [*families, (_IF_EQUAL, 0, len(routes), _AF_NETLINK), *routes, _REFUSE]


def _only_own_limits() -> list[Instruction]:
    """Refuse new limits for another process: (process id, resource, new, old)."""
    return [
        _load(0),
        *((_IF_EQUAL, 0, 1, 0), _ALLOW),
        *(_load(2), (_IF_EQUAL, 1, 0, 0), _REFUSE),
        *(_load(2, upper=True), (_IF_EQUAL, 1, 0, 0), _REFUSE),
        _ALLOW,
    ]
