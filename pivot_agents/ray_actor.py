"""RayHost, which holds an environment in a Ray actor, on this machine or another of a cluster."""

import os
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from pivot_agents.env_host import LocalHost, MakeEnv, Outcome, Start
from pivot_envs.errors import WorkerError

_starting = threading.Lock()
"""Held while Ray is started: a pool makes its hosts in several threads."""


class RayHost:
    """Holds its environment in an actor; a dead actor is a ``WorkerError``.

    Ray is started on this machine unless the caller has called ``ray.init`` with an address. The
    project and what ``make_env`` refers to must be installed on every machine.
    """

    def __init__(self, make_env: MakeEnv) -> None:
        """Start the actor and make the environment in it.

        Raises:
            WorkerError: The actor ended at once.
            Exception: Whatever ``make_env`` raises.
        """
        import ray

        with _starting:
            if not ray.is_initialized():
                _start_ray()
        actor = ray.remote(max_restarts=0, scheduling_strategy="SPREAD")(_Held)
        self._actor = actor.remote()
        try:
            # In a call of its own: what fails in a constructor arrives without its cause.
            self._ask(self._actor.make.remote(make_env))
        except BaseException:
            ray.kill(self._actor)
            raise

    @property
    def pid(self) -> int:
        """Process id of the actor on its machine."""
        number: int = self._ask(self._actor.pid.remote())
        return number

    def reset(self, start: Start) -> Outcome:
        """Begin an episode."""
        outcome: Outcome = self._ask(self._actor.reset.remote(start))
        return outcome

    def step(self, action: str, record: bool) -> Outcome:
        """Act."""
        outcome: Outcome = self._ask(self._actor.step.remote(action, record))
        return outcome

    def close(self) -> None:
        """Close the environment and end the actor."""
        import ray

        with suppress(WorkerError):
            self._ask(self._actor.close.remote())
        ray.kill(self._actor)

    def _ask(self, reference: Any) -> Any:
        import ray
        from ray.exceptions import RayActorError

        try:
            return ray.get(reference)
        except RayActorError as error:
            reason = str(error).strip().partition("\n")[0]
            raise WorkerError(f"the Ray actor of an environment is gone: {reason}") from error


def _start_ray() -> None:
    """Start Ray from a thread that stays: its processes end with the thread that started them."""
    import ray

    started: Future[None] = Future()

    def start_and_stay() -> None:
        try:
            ray.init(include_dashboard=False, log_to_driver=False)
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(None)
        threading.Event().wait()

    threading.Thread(target=start_and_stay, name="ray-start", daemon=True).start()
    started.result()


class _Held(LocalHost):
    """What runs inside the actor; an environment is in it after ``make``."""

    def __init__(self) -> None:
        """Wait for ``make``."""

    def make(self, make_env: MakeEnv) -> None:
        """Make the environment."""
        super().__init__(make_env)

    def pid(self) -> int:
        """Return the id of the actor's process."""
        return os.getpid()
