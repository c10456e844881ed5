"""The ``docker.APIClient`` that is used here: it closes the sockets that it could not connect.

The one of the package ``docker`` leaves them to the garbage collector, which warns of them.
"""

import contextlib
import functools
import socket
from typing import Any


@functools.cache
def engine_client() -> Any:
    """Return the class, made where it is needed: ``docker`` is an extra, and takes a while.

    Raises:
        ImportError: The package ``docker`` is missing.
    """
    import docker
    from docker.transport import unixconn

    class Connection(unixconn.UnixHTTPConnection):  # type: ignore[misc]
        def connect(self) -> None:
            with contextlib.ExitStack() as unless_connected:
                sock = socket.socket(socket.AF_UNIX)
                unless_connected.callback(sock.close)
                sock.settimeout(self.timeout)
                sock.connect(self.unix_socket)
                unless_connected.pop_all()
            self.sock = sock

    class ConnectionPool(unixconn.UnixHTTPConnectionPool):  # type: ignore[misc]
        def _new_conn(self) -> Connection:
            return Connection(self.base_url, self.socket_path, self.timeout)

    class Adapter(unixconn.UnixHTTPAdapter):  # type: ignore[misc]
        def get_connection(self, url: str, proxies: Any = None) -> Any:
            with self.pools.lock:
                if url not in self.pools:
                    place, size = self.socket_path, self.max_pool_size
                    self.pools[url] = ConnectionPool(url, place, self.timeout, maxsize=size)
                return self.pools[url]

    class EngineClient(docker.APIClient):  # type: ignore[misc]
        def mount(self, prefix: str, adapter: Any) -> None:
            if type(adapter) is unixconn.UnixHTTPAdapter:
                place, size = f"http+unix://{adapter.socket_path}", adapter.max_pool_size
                adapter = Adapter(place, adapter.timeout, max_pool_size=size)
            super().mount(prefix, adapter)

    return EngineClient
