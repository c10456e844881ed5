"""Watch, which folders of the workspace something has happened in since it was last asked.

The kernel tells of a change by the folder and the name through which it was made (inotify(7)). It
tells nothing of writes through a mapping or of some rare ways to write, but of the end of every
file description that could be written to. So a file in a quiet folder has not changed, unless

- a process holds it open or mapped (see ``holders.py``),
- it has several names, or
- it had another name in between, which is told by the folder of that name: then the answer is that
  anything may have changed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x2, 0x4, 0x8
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_ONLY_FOLDERS, _OF_A_FOLDER = 0x01000000, 0x40000000
_NAMES = _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_MASK = _MODIFY | _ATTRIB | _CLOSE_WRITE | _NAMES | _ONLY_FOLDERS

_EVENT = struct.Struct("iIII")

_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Watches folders, those below them not included; of no use where the kernel refuses."""

    def __init__(self) -> None:
        """Watch nothing so far."""
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._folders: dict[int, str] = {}

    def add(self, folder: str, descriptor: int) -> None:
        """Watch a folder, given its open descriptor; its path may have changed since."""
        if self._descriptor < 0:
            return
        # The dot is for the folder that the link in /proc leads to.
        path = b"/proc/self/fd/%d/." % descriptor
        number = _libc.inotify_add_watch(self._descriptor, path, _MASK)
        if number >= 0:
            self._folders[number] = folder
        elif ctypes.get_errno() != errno.ENOENT:
            # Other programs of the user need some too.
            os.close(self._descriptor)
            self._descriptor = -1

    def changed(self) -> set[str] | None:
        """Return the folders with changes since the last call, or None if it can be any.

        A folder that was made, moved or removed makes it any.
        """
        batch = _Batch()
        try:
            while True:
                for number, mask, cookie, name in _events(os.read(self._descriptor, 1 << 16)):
                    if mask & _IGNORED:
                        self._folders.pop(number, None)
                        continue
                    folder = self._folders.get(number)
                    if folder is None or mask & _OVERFLOW:
                        batch.is_plain = False
                        continue
                    batch.take(folder, mask, cookie, name)
        except BlockingIOError:
            return batch.folders if batch.is_plain and not batch.moving else None
        except OSError:
            return None


class _Batch:
    """What happened between two calls, as far as folders alone tell everything."""

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self.is_plain = True
        self.moving: set[int] = set()
        self._new: set[tuple[str, bytes]] = set()
        self._ever_new: set[tuple[str, bytes]] = set()

    def take(self, folder: str, mask: int, cookie: int, name: bytes) -> None:
        """Take one event.

        A name that appeared may be a second one of a file elsewhere. As long as it is there, the
        file shows that it has two; if it is gone again, nothing does.
        """
        self.folders.add(folder)
        if not mask & _NAMES:
            return
        if mask & _OF_A_FOLDER:
            self.is_plain = False
            return
        place = (folder, name)
        if mask & (_CREATE | _MOVED_TO):
            self.is_plain = self.is_plain and place not in self._new
            self._new.add(place)
            self._ever_new.add(place)
            self.moving.discard(cookie)
        elif mask & _MOVED_FROM:
            self.is_plain = self.is_plain and (place in self._new or place not in self._ever_new)
            self._new.discard(place)
            self.moving.add(cookie)
        elif place in self._ever_new:
            self.is_plain = False


def _events(data: bytes) -> list[tuple[int, int, int, bytes]]:
    found = []
    position = 0
    while position < len(data):
        number, mask, cookie, length = _EVENT.unpack_from(data, position)
        position += _EVENT.size
        found.append((number, mask, cookie, data[position : position + length].rstrip(b"\0")))
        position += length
    return found
