"""EnvPool, a number of environments that are reset and stepped side by side."""

import importlib.util
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, get_args

from pivot_agents.env_host import EnvHost, LocalHost, MakeEnv, Outcome, Start
from pivot_envs.errors import InfraError

__all__ = ["Backend", "EnvPool", "Outcome", "Start"]

Backend = Literal["threads", "processes", "ray"]
"""Where environments are held: in this process, in processes of their own, in Ray actors."""

_logger = logging.getLogger(__name__)
_Job = Callable[[EnvHost], Outcome]


class EnvPool:
    """Environments of one kind in numbered slots.

    By default they are held in this process, each slot in a thread: a coding or web environment
    waits for a sandbox or a browser that is a process of its own, so the interpreter's lock is free
    meanwhile. ``processes`` is for environments that compute in Python themselves or may take their
    process down with them; ``ray`` spreads them over the machines of a cluster.

    An ``InfraError``, such as the end of a worker process, becomes a truncated outcome with
    ``info["infra_error"]``, and the slot gets a new environment; any other exception is a bug and
    is raised.
    """

    def __init__(self, make_env: MakeEnv, size: int, *, backend: Backend = "threads") -> None:
        """Prepare a pool; environments are made when their slot is first reset.

        Args:
            make_env: Makes one environment, wrapped or not. Other backends than ``threads`` send it
                to where it is called, so what it refers to must be picklable by ``cloudpickle``.
            size: Number of slots.
            backend: Where environments are held.

        Raises:
            ValueError: ``size`` is below 1, or there is no such backend.
            ImportError: The backend's package is not installed.
        """
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.size = size
        self._make_host = _host_maker(make_env, backend)
        self._hosts: dict[int, EnvHost] = {}
        self._threads: ThreadPoolExecutor | None = None

    def reset(self, starts: Mapping[int, Start]) -> dict[int, Outcome]:
        """Begin an episode in each named slot."""
        return self._run({slot: _reset(start) for slot, start in starts.items()})

    def step(self, actions: Mapping[int, str], *, record: bool = False) -> dict[int, Outcome]:
        """Act in each named slot.

        Args:
            actions: Action text by slot.
            record: Also take the snapshot before each action and its effect.
        """
        return self._run({slot: _step(action, record) for slot, action in actions.items()})

    def close(self) -> None:
        """Close every environment; the pool can be used again, and closed twice."""
        hosts, self._hosts = list(self._hosts.values()), {}
        for host in hosts:
            host.close()
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def __enter__(self) -> "EnvPool":
        """Return the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the pool."""
        self.close()

    def _run(self, jobs: Mapping[int, _Job]) -> dict[int, Outcome]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.size, thread_name_prefix="env-pool")
        futures = {slot: self._threads.submit(self._turn, slot, job) for slot, job in jobs.items()}
        # Every slot is waited for before the first exception is raised, so that none is mid-step.
        errors = [future.exception() for future in futures.values()]
        if error := next((error for error in errors if error is not None), None):
            raise error
        return {slot: future.result() for slot, future in futures.items()}

    def _turn(self, slot: int, job: _Job) -> Outcome:
        try:
            if slot not in self._hosts:
                self._hosts[slot] = self._make_host()
            outcome = job(self._hosts[slot])
        except InfraError as error:
            reason = f"{type(error).__name__}: {error}"
            info = {"infra_error": reason, "action_error": None, "is_success": False, "task_id": ""}
            outcome = Outcome("", 0.0, False, True, info, (), ())
        if outcome.info.get("infra_error") is not None:
            self._discard(slot)
        return outcome

    def _discard(self, slot: int) -> None:
        host = self._hosts.pop(slot, None)
        try:
            if host is not None:
                host.close()
        except InfraError as error:
            _logger.warning("closing a failed environment failed as well: %s", error)


def _reset(start: Start) -> _Job:
    return lambda host: host.reset(start)


def _step(action: str, record: bool) -> _Job:
    return lambda host: host.step(action, record)


def _host_maker(make_env: MakeEnv, backend: Backend) -> Callable[[], EnvHost]:
    if backend == "threads":
        return lambda: LocalHost(make_env)
    if backend == "processes":
        from pivot_agents.worker_process import ProcessHost

        return lambda: ProcessHost(make_env)
    if backend == "ray":
        if importlib.util.find_spec("ray") is None:
            raise ModuleNotFoundError("backend='ray' needs Ray: pip install 'pivotrl-envs[ray]'")
        from pivot_agents.ray_actor import RayHost

        return lambda: RayHost(make_env)
    raise ValueError(f"expected a backend out of {get_args(Backend)}, got {backend!r}")
