"""EngineClient, a ``docker.APIClient`` that closes the sockets it could not connect.

The one of the package ``docker`` leaves them to the garbage collector, which warns of them.
"""

import contextlib
import socket
from typing import Any

import docker
from docker.transport.unixconn import (
    UnixHTTPAdapter,
    UnixHTTPConnection,
    UnixHTTPConnectionPool,
)


class _Connection(UnixHTTPConnection):  # type: ignore[misc]
    def connect(self) -> None:
        with contextlib.ExitStack() as unless_connected:
            sock = socket.socket(socket.AF_UNIX)
            unless_connected.callback(sock.close)
            sock.settimeout(self.timeout)
            sock.connect(self.unix_socket)
            unless_connected.pop_all()
        self.sock = sock


class _ConnectionPool(UnixHTTPConnectionPool):  # type: ignore[misc]
    def _new_conn(self) -> _Connection:
        return _Connection(self.base_url, self.socket_path, self.timeout)


class _Adapter(UnixHTTPAdapter):  # type: ignore[misc]
    def get_connection(self, url: str, proxies: Any = None) -> _ConnectionPool:
        with self.pools.lock:
            pool: _ConnectionPool | None = self.pools.get(url)
            if pool is None:
                size = self.max_pool_size
                pool = _ConnectionPool(url, self.socket_path, self.timeout, maxsize=size)
                self.pools[url] = pool
            return pool


class EngineClient(docker.APIClient):  # type: ignore[misc]
    """A client whose requests to a local engine leave nothing behind where it does not answer."""

    def mount(self, prefix: str, adapter: Any) -> None:
        """Take an adapter for the addresses that begin with a prefix; ``docker`` calls this."""
        if type(adapter) is UnixHTTPAdapter:
            place, size = f"http+unix://{adapter.socket_path}", adapter.max_pool_size
            adapter = _Adapter(place, adapter.timeout, max_pool_size=size)
        super().mount(prefix, adapter)
