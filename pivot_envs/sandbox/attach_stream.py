"""AttachStream, the connection to a container's standard streams."""

import contextlib
import os
import select
import socket
from typing import Any

_STDERR = 2
_KEPT_ERROR_BYTES = 2000
_LAST_WORDS_S = 1.0
_ENDED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class AttachStream:
    """The attach connection of a container without a terminal, as a plain stream.

    What comes from the container is framed: stdout is the stream, stderr is kept for messages.
    """

    def __init__(self, connection: Any) -> None:
        """Take over what ``APIClient.attach_socket`` returned."""
        self._connection = connection
        # A TLS connection comes as the socket itself, a plain one as a reader of it.
        self._sock: socket.socket = getattr(connection, "_sock", connection)
        self._response = getattr(connection, "_response", None)
        self._left = 0
        self._errors = b""

    def fileno(self) -> int:
        """Return the connection's descriptor."""
        return self._sock.fileno()

    def recv_into(self, buffer: memoryview) -> int:
        """Read at least one byte of stdout; return how many, 0 when the container has ended."""
        while self._left == 0:
            head = self._exactly(8)
            if head is None:
                return 0
            size = int.from_bytes(head[4:], "big")
            if head[0] == _STDERR:
                self._errors = (self._errors + (self._exactly(size) or b""))[-_KEPT_ERROR_BYTES:]
            else:
                self._left = size
        count = self._sock.recv_into(buffer[: self._left])
        self._left -= count
        return count

    def sendall(self, data: bytes) -> None:
        """Write to stdin.

        Raises:
            BrokenPipeError: The container has ended.
            TimeoutError: Nothing was taken in time.
        """
        # An engine does not close the connection of a container that has ended: it reads no more
        # of it, and tells so by ending its own side.
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLOUT | _ENDED)
        wait_s = self._sock.gettimeout()
        view = memoryview(data)
        while view:
            events = poll.poll(None if wait_s is None else wait_s * 1000)
            if not events:
                raise TimeoutError("the container takes no input")
            if events[0][1] & _ENDED:
                raise BrokenPipeError("the container has ended")
            view = view[self._sock.send(view) :]

    def settimeout(self, timeout_s: float | None) -> None:
        """Set how long one read or write may take, in seconds."""
        self._sock.settimeout(timeout_s)

    def shutdown(self, how: int) -> None:
        """End the connection, as a socket does."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close the connection; the engine then closes the container's stdin."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        # From the outermost reader to the socket itself; each is closed without the next.
        for one in (self._response, self._connection, self._sock):
            if one is not None:
                one.close()

    def let_go(self) -> None:
        """Close this process's copy of the connection only."""
        os.close(self._sock.detach())

    def errors(self) -> str:
        """Read what is left, for a moment at most, and return the end of what came from stderr."""
        with contextlib.suppress(OSError):
            self._sock.settimeout(_LAST_WORDS_S)
            while self.recv_into(memoryview(bytearray(4096))):
                pass
        return self._errors.decode("utf-8", "replace").strip()

    def _exactly(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            piece = self._sock.recv(size - len(data))
            if not piece:
                return None
            data += piece
        return data
