"""Linux calls that turn a plain process into the first process of an isolated box."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
_NEW_NAMESPACES = (
    _CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS
)
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SYS_MOUNT_SETATTR = 442
_AT_RECURSIVE = 0x8000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

# CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP
_AGENT_CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8)

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Identity:
    """Numbers of a user inside the box and on the machine; gid equals uid."""

    inside: int
    outside: int


@dataclass(frozen=True)
class Layout:
    """What the box's file system is made of."""

    read_only: tuple[str, ...]
    """Folders and files shown at the same path, parents before children."""
    hidden: tuple[str, ...]
    """Folders below these that are shown empty."""
    symlinks: tuple[tuple[str, str], ...]
    """(path, target) of links in the root folder, such as ``/bin`` to ``usr/bin``."""
    files: tuple[tuple[str, str], ...]
    """(path, text) of small files written into the box."""
    tmpfs_bytes: int
    """Most bytes that the workspace holds, and as much again for scratch files."""


def checked(name: str, *arguments: object) -> int:
    """Call a C function; raise OSError with its name if it returns a negative number."""
    result = int(getattr(_libc, name)(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent ends."""
    checked("prctl", _PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def hide_from_others() -> None:
    """Keep other processes of the same user from this one's memory, descriptors and environment."""
    checked("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Make the system call of this name; the error names what was mounted where."""
    encoded = [os.fsencode(text) if text else None for text in (source, target, kind, options)]
    try:
        checked("mount", encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} ({source or kind} on {target})") from None


def isolate(layout: Layout, agent: Identity, command: Identity | None) -> int:
    """Enter new namespaces and fork the box's first process.

    The caller stays behind as its parent. As root, the mounts are made first and the user
    namespace after the step down to an unprivileged user; otherwise the other way round.

    Args:
        layout: The file system of the box.
        agent: User of the first process.
        command: User of commands, if it differs; possible for root only.

    Returns:
        0 in the first process, its process id in the parent.

    Raises:
        OSError: The machine does not allow a step; the text names it.
    """
    # Any folder will do: only this process sees what is mounted there.
    root = "/tmp"
    if os.geteuid() == 0:
        _unshare_as_root(root, layout, agent, command)
    else:
        _unshare_as_user(root, layout, agent)
    pid = os.fork()
    if pid == 0:
        die_with_parent()
        _enter(root)
    return pid


def _unshare_as_root(root: str, layout: Layout, agent: Identity, command: Identity | None) -> None:
    checked("unshare", _CLONE_NEWNS)
    mount("", "/", flags=_MS_REC | _MS_PRIVATE)
    owner = agent if command is None else command
    build_root(root, layout, agent.outside, owner.outside)
    writer = _IdentityWriter([agent] if command is None else [agent, command])
    os.setgroups([])
    os.setresgid(agent.outside, agent.outside, agent.outside)
    os.setresuid(agent.outside, agent.outside, agent.outside)
    checked("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)
    checked("unshare", _NEW_NAMESPACES)
    writer.write()
    os.setresgid(agent.inside, agent.inside, agent.inside)
    os.setresuid(agent.inside, agent.inside, agent.inside)


def _unshare_as_user(root: str, layout: Layout, agent: Identity) -> None:
    uid, gid = os.geteuid(), os.getegid()
    checked("unshare", _NEW_NAMESPACES)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{agent.inside} {uid} 1")
    _write("/proc/self/gid_map", f"{agent.inside} {gid} 1")
    mount("", "/", flags=_MS_REC | _MS_PRIVATE)
    build_root(root, layout, agent.inside, agent.inside)


def build_root(root: str, layout: Layout, agent_uid: int, command_uid: int) -> None:
    """Mount the box's file system on ``root``; uids are those of the current namespace."""
    sources = [(path, os.open(path, os.O_PATH)) for path in layout.read_only]
    devices = [(path, os.open(path, os.O_PATH)) for path in _DEVICES]
    mount("box", root, "tmpfs", _MS_NOSUID | _MS_NODEV, f"mode=755,uid={agent_uid},gid={agent_uid}")
    for folder in ("proc", "dev", "run", "tmp", "workspace"):
        os.mkdir(f"{root}/{folder}", 0o755)
    for path, target in (*layout.symlinks, *_DEVICE_LINKS):
        os.symlink(target, root + path)
    for path, text in layout.files:
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        _write(root + path, text, os.O_CREAT)
    size = layout.tmpfs_bytes
    quota = f"uid={command_uid},gid={command_uid},size={size},nr_inodes=200000"
    flags = _MS_NOSUID | _MS_NODEV
    mount("workspace", f"{root}/workspace", "tmpfs", flags, f"mode=755,{quota}")
    mount("scratch", f"{root}/tmp", "tmpfs", flags, f"mode=1777,{quota}")
    mount(
        "run", f"{root}/run", "tmpfs", flags, f"mode=755,uid={agent_uid},gid={agent_uid},size=64m"
    )
    os.mkdir(f"{root}/dev/shm")
    mount("shm", f"{root}/dev/shm", "tmpfs", flags, f"mode=1777,{quota}")
    for path, descriptor in sources:
        _bind(descriptor, root + path)
        _set_read_only(root + path)
        os.close(descriptor)
    for path in layout.hidden:
        if os.path.isdir(root + path):
            mount("hidden", root + path, "tmpfs", flags | _MS_RDONLY, "mode=755,size=4k")
        else:
            _bind(dict(devices)["/dev/null"], root + path)
    for path, descriptor in devices:
        _bind(descriptor, root + path)
        os.close(descriptor)
    mount("", root, flags=_MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def _enter(root: str) -> None:
    """Make ``root`` the root folder and set up what belongs to the new namespaces."""
    mount(root, root, flags=_MS_BIND | _MS_REC)
    mount("proc", f"{root}/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    os.chdir(root)
    checked("syscall", _SYS_PIVOT_ROOT[os.uname().machine], b".", b".")
    checked("umount2", b".", _MNT_DETACH)
    os.chdir("/")
    socket.sethostname("sandbox")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sH14x", b"lo", 0)
        current = struct.unpack("16sH14x", fcntl.ioctl(probe, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", current | _IFF_UP))


def drop_capabilities() -> None:
    """Keep only what the agent needs to look after files and processes of its box."""
    checked("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for capability in range(64):
        if capability not in _AGENT_CAPABILITIES:
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    mask = sum(1 << capability for capability in _AGENT_CAPABILITIES)
    header = struct.pack("=Ii", 0x20080522, 0)
    checked("capset", header, struct.pack("=6I", mask, mask, 0, 0, 0, 0))
    hide_from_others()


class _IdentityWriter:
    """A child forked while still root, which maps the users of this process's new namespace."""

    def __init__(self, identities: Sequence[Identity]) -> None:
        read, self._go = os.pipe()
        self._answer, answer = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid:
            os.close(read)
            os.close(answer)
            return
        try:
            os.close(self._go)
            os.read(read, 1)
            lines = "".join(f"{who.inside} {who.outside} 1\n" for who in identities)
            _write(f"/proc/{parent}/uid_map", lines)
            _write(f"/proc/{parent}/gid_map", lines)
            os.write(answer, b"k")
        finally:
            os._exit(0)

    def write(self) -> None:
        os.write(self._go, b"g")
        answer = os.read(self._answer, 1)
        _, status = os.waitpid(self._pid, 0)
        os.close(self._go)
        os.close(self._answer)
        if os.WIFSIGNALED(status):
            raise ChildProcessError("the child that maps the users of the box was killed")
        if answer != b"k":
            raise OSError("uid_map: the users of the box cannot be mapped")


_DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom"))
_DEVICE_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
)


def _bind(descriptor: int, target: str) -> None:
    source = f"/proc/self/fd/{descriptor}"
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(target, os.O_CREAT | os.O_EXCL))
    mount(source, target, flags=_MS_BIND | _MS_REC)


def _set_read_only(target: str) -> None:
    attributes = struct.pack("=4Q", _MS_RDONLY | _MS_NOSUID | _MS_NODEV, 0, 0, 0)
    path = os.fsencode(target)
    checked("syscall", _SYS_MOUNT_SETATTR, -100, path, _AT_RECURSIVE, attributes, len(attributes))


def _write(path: str, text: str, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
