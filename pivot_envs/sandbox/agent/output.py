"""Output, the bounded record of what a command printed."""

from __future__ import annotations

import os


class Output:
    """Keeps the head and the tail of a stream of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        """Keep at most ``limit_bytes``, half of them from the beginning."""
        self.head_limit = limit_bytes // 2
        self.tail_limit = limit_bytes - self.head_limit
        self.head = bytearray()
        self.tail = bytearray()
        self.omitted_bytes = 0

    def add(self, piece: bytes) -> None:
        """Take in the next bytes."""
        room = self.head_limit - len(self.head)
        if room > 0:
            self.head += piece[:room]
            piece = piece[room:]
        self.tail += piece
        if len(self.tail) > 4 * self.tail_limit + 65536:
            self._trim()

    def drain(self, descriptor: int, limit_bytes: int = 64 * 1024 * 1024) -> bool:
        """Read what a non-blocking descriptor holds; return whether its end was reached."""
        taken = 0
        while taken < limit_bytes:
            try:
                piece = os.read(descriptor, 65536)
            except BlockingIOError:
                return False
            if not piece:
                return True
            taken += len(piece)
            self.add(piece)
        return False

    def text(self) -> bytes:
        """Return head and tail, with a marker line between them if bytes were left out."""
        self._trim()
        if not self.omitted_bytes:
            return bytes(self.head + self.tail)
        head, tail = _whole_characters_at_end(self.head), _whole_characters_at_start(self.tail)
        self.omitted_bytes += len(self.head) - len(head) + len(self.tail) - len(tail)
        self.head, self.tail = head, tail
        marker = b"\n[... %d bytes omitted ...]\n" % self.omitted_bytes
        return bytes(head) + marker + bytes(tail)

    def _trim(self) -> None:
        excess = len(self.tail) - self.tail_limit
        if excess > 0:
            del self.tail[:excess]
            self.omitted_bytes += excess


def _whole_characters_at_end(data: bytearray) -> bytearray:
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return data
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data if back >= needed else data[:-back]
    return data


def _whole_characters_at_start(data: bytearray) -> bytearray:
    start = 0
    while start < min(3, len(data)) and 0x80 <= data[start] < 0xC0:
        start += 1
    return data[start:]
