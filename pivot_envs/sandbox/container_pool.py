"""ContainerPool, started containers that wait to be taken, so that no box waits for its start."""

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from pivot_envs.errors import InfraError
from pivot_envs.sandbox.container import Container
from pivot_envs.sandbox.limits import Limits


class ContainerPool:
    """Containers of one image with the same limits, started in the background.

    Nothing is started before the first ``take``. Boxes of one process share a pool through
    ``join``; it is closed when the last of them has left.
    """

    def __init__(self, image: str, limits: Limits, size: int) -> None:
        """Prepare a pool that keeps ``size`` containers ready.

        Raises:
            ValueError: ``size`` is below 1.
        """
        if size < 1:
            raise ValueError(f"a pool keeps at least 1 container ready, got {size}")
        self._image = image
        self._limits = limits
        self._size = size
        self._users: list[int] = []
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._spares: deque[Future[Container]] = deque()
        self._starter = ThreadPoolExecutor(_STARTERS, thread_name_prefix="pivot-containers")
        self._is_closed = False

    @classmethod
    def join(cls, image: str, limits: Limits, size: int) -> "ContainerPool":
        """Return this process's pool of such containers, which keeps at least ``size`` ready.

        ``leave`` it as often as you join it, with the same size.
        """
        # A forked process has none of its parent's threads.
        key = (os.getpid(), image, limits)
        with _shared_lock:
            pool = _shared.get(key)
            if pool is None:
                pool = _shared[key] = cls(image, limits, size)
            pool._users.append(size)
            pool._size = max(pool._users)
        return pool

    def leave(self, size: int) -> None:
        """Say that one of those who joined needs the pool no more; the last one closes it."""
        if os.getpid() != self._process:
            return
        with _shared_lock:
            self._users.remove(size)
            if self._users:
                # Spares beyond this stay until they are taken.
                self._size = max(self._users)
                return
            for key in [key for key, pool in _shared.items() if pool is self]:
                del _shared[key]
        self.close()

    def take(self) -> Container:
        """Return a container that is ready, or start one; spares are started in the background.

        Raises:
            SandboxUnavailableError: There is no engine, or no such image.
            SandboxError: No container comes up.
        """
        while (spare := self._next()) is not None:
            try:
                container = spare.result()
            except InfraError:
                # Its reason may have passed; if not, the attempt below tells it.
                continue
            if container.is_alive():
                self._fill()
                return container
            container.remove()
        container = Container(self._image, self._limits)
        self._fill()
        return container

    def close(self) -> None:
        """Remove every container that was not taken."""
        with self._lock:
            self._is_closed = True
            spares, self._spares = self._spares, deque()
        self._starter.shutdown(wait=True, cancel_futures=True)
        for spare in spares:
            if not spare.cancelled() and spare.exception() is None:
                spare.result().remove()

    def _next(self) -> "Future[Container] | None":
        """Take the first spare that is ready, else one that is on its way, out of the queue."""
        with self._lock:
            for spare in self._spares:
                if spare.done():
                    self._spares.remove(spare)
                    return spare
            while self._spares:
                spare = self._spares.popleft()
                if not spare.cancel():
                    return spare
        return None

    def _fill(self) -> None:
        with self._lock:
            while len(self._spares) < self._size and not self._is_closed:
                self._spares.append(self._starter.submit(Container, self._image, self._limits))


_STARTERS = 2
"""Containers that are started at the same time."""

_shared: dict[tuple[int, str, Limits], ContainerPool] = {}
_shared_lock = threading.RLock()
"""The garbage collector may end a box, which leaves its pool, while this thread holds the lock."""
