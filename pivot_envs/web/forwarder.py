"""Forwarder, a proxy in front of one server: the server gets a host name and no visible port."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit, urlunsplit

_TIMEOUT_S = 20.0
# RFC 9110, section 7.6.1: what is for one connection only.
_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: "_Server"

    def _forward(self) -> None:
        address = urlsplit(self.path)
        if address.netloc != self.server.host:
            self._answer(404, [("Content-Type", "text/plain")], b"There is no such site.\n")
            return
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        headers = {
            name: text for name, text in self.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        path = urlunsplit(("", "", address.path or "/", address.query, ""))
        target = http.client.HTTPConnection("127.0.0.1", self.server.target_port, _TIMEOUT_S)
        try:
            target.request(self.command, path, body, headers)
            response = target.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._answer(502, [("Content-Type", "text/plain")], f"{error}\n".encode())
        else:
            self._answer(response.status, response.getheaders(), content)
        finally:
            target.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _forward  # noqa: N815

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, text in headers:
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                self.send_header(name, text)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    host = ""
    target_port = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser may hang up at any time."""


class Forwarder:
    """Passes requests for one host name on to a server on 127.0.0.1, and refuses all others."""

    def __init__(self, host: str) -> None:
        """Start listening on a free port.

        Args:
            host: The name under which the browser knows the server, such as ``trac.test``.
        """
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.host = host
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True, name="forwarder"
        )
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """Where the forwarder listens."""
        return "127.0.0.1", self._server.server_port

    def lead_to(self, port: int) -> None:
        """Pass requests on to this port from now on."""
        self._server.target_port = port

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
