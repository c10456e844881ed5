"""The program of a site server: serves one database over HTTP, obeys its owner over a pipe.

Run as ``python -m pivot_envs.web.sites.server DESCRIPTOR``. It ends when its owner does.
"""

import logging
import os
import sys
import threading
from collections.abc import Iterable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from flask import Flask
from werkzeug import Response
from werkzeug.serving import WSGIRequestHandler, make_server

from pivot_envs.web.sites.app import SITE_NAMES, make_app
from pivot_envs.web.sites.database import open_database

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class _Handler(WSGIRequestHandler):
    # Keep-alive spares a connection per page; an address line per request helps nobody.
    protocol_version = "HTTP/1.1"
    # Headers and body leave in one packet, or the second would wait 40 ms for an acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


class SiteServer:
    """The applications of all sites on one database, one request at a time.

    It is the browser's proxy, and refuses every host but that of the site that is loaded, such as
    ``shop.sites.test``: of one domain, so that the browser keeps its process from site to site.
    """

    def __init__(self) -> None:
        self._database = open_database()
        self._apps = {name: make_app(name, self._database) for name in SITE_NAMES}
        self._app: Flask = self._apps[SITE_NAMES[0]]
        self._host = ""
        # A browser opens connections ahead of need, so each has a thread; the work is serial.
        self._lock = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Answer a request with the page of the site that was loaded last."""
        with self._lock:
            if environ.get("HTTP_HOST") != self._host:
                return Response("There is no such site.\n", 404)(environ, start)
            return self._app(environ, start)

    def warm(self) -> None:
        """Compile the templates, so that the first page of a kind costs what the others do."""
        for app in self._apps.values():
            for name in app.jinja_env.list_templates(extensions=["html"]):
                app.jinja_env.get_template(name)

    def load(self, site: str, content: bytes) -> None:
        """Serve another state, of this site or of another."""
        with self._lock:
            self._database.deserialize(content)
            self._app, self._host = self._apps[site], f"{site}.sites.test"

    def save(self) -> bytes:
        """Return the state."""
        with self._lock:
            return self._database.serialize()


def serve(owner: Connection) -> None:
    """Serve on a free port of 127.0.0.1 until the owner closes its end of the pipe.

    Sends the port, then answers ``load`` (followed by the site's name and the database) with an
    empty message and ``save`` with the database.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    site = SiteServer()
    server = make_server("127.0.0.1", 0, site, threaded=True, request_handler=_Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # It takes half a second, in which the owner need not wait.
    threading.Thread(target=site.warm, daemon=True).start()
    try:
        owner.send_bytes(str(server.server_port).encode())
        while True:
            if owner.recv_bytes() == b"load":
                site.load(owner.recv_bytes().decode(), owner.recv_bytes())
                owner.send_bytes(b"")
            else:
                owner.send_bytes(site.save())
    except (EOFError, OSError):
        # Threads that wait for a browser's next request must not hold up the end.
        os._exit(0)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
