"""Messages between host and agent: a JSON header and raw blobs, each with its length in front."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

MAX_HEADER_BYTES = 256 * 1024 * 1024
MAX_BLOB_BYTES = 2 * 1024 * 1024 * 1024

_LENGTH = struct.Struct(">I")


class Stream(Protocol):
    """What a channel needs of a stream socket."""

    def fileno(self) -> int:
        """Return a descriptor that shows the other end's end."""

    def recv_into(self, buffer: memoryview) -> int:
        """Read at least one byte; return how many, 0 at the end."""

    def sendall(self, data: bytes) -> None:
        """Write everything."""

    def settimeout(self, timeout_s: float | None) -> None:
        """Set how long reading and writing may take."""

    def close(self) -> None:
        """Close it."""


class Channel:
    """One end of a stream that carries messages."""

    def __init__(self, sock: Stream) -> None:
        """Take over a connected stream socket, or what behaves as one."""
        self.sock = sock

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self.sock.fileno()

    def send(self, header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
        """Send one message.

        Raises:
            OSError: The other end is gone, or does not read in time.
        """
        sizes = [len(blob) for blob in blobs]
        text = json.dumps({"blobs": sizes, **header}, separators=(",", ":")).encode("ascii")
        start = _LENGTH.pack(len(text)) + text
        if sum(sizes) < 65536:
            self.sock.sendall(start + b"".join(blobs))
            return
        self.sock.sendall(start)
        for blob in blobs:
            self.sock.sendall(blob)

    def receive(self, timeout_s: float | None = None) -> tuple[dict[str, Any], list[bytes]]:
        """Return the next message's header and blobs.

        Raises:
            EOFError: The other end is gone.
            TimeoutError: The message did not arrive whole within ``timeout_s`` seconds.
            ValueError: The message is malformed or too large.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"a message header of {length} bytes is too large")
        header = json.loads(bytes(self._read(length, deadline)))
        if not isinstance(header, dict):
            raise ValueError("a message header must be a JSON object")
        sizes = header.pop("blobs", [])
        if not all(isinstance(size, int) and size >= 0 for size in sizes):
            raise ValueError("blob sizes must be whole numbers")
        if sum(sizes) > MAX_BLOB_BYTES:
            raise ValueError(f"a message with {sum(sizes)} bytes of blobs is too large")
        return header, [bytes(self._read(size, deadline)) for size in sizes]

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    def _read(self, size: int, deadline: float | None) -> bytearray:
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            if deadline is not None:
                self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                count = self.sock.recv_into(view)
            except ConnectionError as error:
                raise EOFError("the other end is gone") from error
            if count == 0:
                raise EOFError("the other end is gone")
            view = view[count:]
        return buffer
