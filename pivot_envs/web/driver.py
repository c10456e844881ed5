"""Driver, Playwright on a thread of its own, so that any thread and any event loop can use it."""

import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, ClassVar, TypeVar

from pivot_envs.errors import BrowserError, BrowserUnavailableError, InfraError
from pivot_envs.web.chrome import Chrome

Result = TypeVar("Result")

MOST_DOCUMENTS = 1000
"""Documents after which a driver is replaced, as Playwright keeps some memory of each."""

_START_S = 60.0
_STOP_S = 15.0


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that knows the processes it started: Playwright does not tell its driver's."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[asyncio.SubprocessTransport] = []

    async def subprocess_exec(self, *args: Any, **options: Any) -> Any:
        transport, protocol = await super().subprocess_exec(*args, **options)
        self.processes.append(transport)
        return transport, protocol


class Driver:
    """The process's Playwright with its browsers; ``Driver.shared`` returns the living one.

    One that has opened many documents is followed by another. It goes on for those that cannot
    leave it, and ends when nobody uses it any more.
    """

    _shared: "Driver | None" = None
    _retired: ClassVar[list["Driver"]] = []
    _lock = threading.Lock()

    def __init__(self) -> None:
        """Start the thread and Playwright on it.

        Raises:
            BrowserUnavailableError: Playwright is not installed or does not start.
        """
        self._pid = os.getpid()
        self._loop = _Loop()
        self._loop.set_exception_handler(_report_unexpected)
        self._chromes: dict[tuple[str | None, bool], Chrome] = {}
        self._launching = asyncio.Lock()
        self._is_closed = False
        self._users: weakref.WeakSet[object] = weakref.WeakSet()
        self._tasks: set[asyncio.Task[None]] = set()
        thread = threading.Thread(target=self._loop.run_forever, name="pivot-web", daemon=True)
        thread.start()
        self._thread = thread
        try:
            from playwright.async_api import async_playwright
        except ImportError as error:
            self._stop_loop()
            raise BrowserUnavailableError(
                "web environments need Playwright: pip install 'pivotrl-envs[web]'"
            ) from error
        try:
            self._playwright = self.run(async_playwright().start(), _START_S)
        except BrowserError as error:
            self._kill()
            self._stop_loop()
            raise BrowserUnavailableError(f"Playwright does not start: {error}") from error

    @classmethod
    def shared(cls) -> "Driver":
        """Return the process's driver, starting one if there is none or it is worn."""
        with cls._lock:
            driver = cls._shared
            if driver is not None and driver._is_alive and driver._is_worn:
                cls._retired.append(driver)
                driver = None
            if driver is None or not driver._is_alive:
                driver = cls._shared = cls()
                atexit.register(driver.close)
            cls._end_retired()
            return driver

    @classmethod
    def _end_retired(cls) -> None:
        for driver in [each for each in cls._retired if not each._users]:
            cls._retired.remove(driver)
            atexit.unregister(driver.close)
            driver.close()

    @property
    def _is_alive(self) -> bool:
        return not self._is_closed and self._pid == os.getpid()

    @property
    def _is_worn(self) -> bool:
        opened = sum(chrome.documents for chrome in list(self._chromes.values()))
        return opened >= MOST_DOCUMENTS

    def join(self, user: object) -> None:
        """Count a user, until it leaves or is no more."""
        self._users.add(user)

    def leave(self, user: object) -> None:
        """Count a user no longer; the last one to leave a driver that was replaced ends it."""
        self._users.discard(user)
        with Driver._lock:
            Driver._end_retired()

    def run(self, work: Coroutine[Any, Any, Result], timeout_s: float) -> Result:
        """Run a coroutine on the driver's thread and wait for it.

        Raises:
            BrowserError: It failed or took longer than ``timeout_s`` seconds.
        """
        if not self._is_alive:
            work.close()
            raise BrowserError("the browser was closed, or belongs to another process")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:
            future.cancel()
            raise BrowserError(f"the browser did not answer within {timeout_s:g} s") from None
        except (InfraError, ValueError):
            raise
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise BrowserError(f"the browser failed: {reason}") from error
        except BaseException:
            future.cancel()
            raise

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start a coroutine from the driver's thread without waiting; its failure is dropped."""
        task = asyncio.ensure_future(_quiet(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # What was cancelled before it began would be missed by nobody but Python, which warns.
        task.add_done_callback(lambda _: work.close())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine on the driver's thread without waiting; its failure is dropped."""
        if not self._is_alive:
            work.close()
            return
        self._loop.call_soon_threadsafe(self.later, work)

    async def chrome(self, executable: str | None, controls_frames: bool = True) -> Chrome:
        """Return a living browser, launching it if needed."""
        async with self._launching:
            key = executable, controls_frames
            chrome = self._chromes.get(key)
            if chrome is None or not chrome.browser.is_connected():
                chrome = await Chrome.launch(self._playwright, executable, controls_frames)
                self._chromes[key] = chrome
            return chrome

    def close(self) -> None:
        """End Playwright and its browsers; a driver that does not answer is killed."""
        if not self._is_alive:
            return
        try:
            self.run(self._stop_playwright(), _STOP_S)
        except InfraError:
            self._kill()
        self._is_closed = True
        self._stop_loop()

    async def _stop_playwright(self) -> None:
        # What is still going on would write into the pipe of a driver that is gone.
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1.0) if tasks else None
        await self._playwright.stop()

    def _kill(self) -> None:
        # Playwright has no public way to end a driver that hangs.
        with contextlib.suppress(InfraError):
            self.run(self._kill_processes(), 5.0)

    async def _kill_processes(self) -> None:
        for process in self._loop.processes:
            process.close()
        # The loop must hear of their end before it is closed.
        while any(process.get_returncode() is None for process in self._loop.processes):
            await asyncio.sleep(0.01)

    def _stop_loop(self) -> None:
        self._is_closed = True
        asyncio.run_coroutine_threadsafe(self._finish(), self._loop)
        self._thread.join(5.0)
        if not self._thread.is_alive():
            self._loop.close()

    async def _finish(self) -> None:
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=2.0) if tasks else None
        self._loop.stop()


def _report_unexpected(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what goes wrong on the loop, but for what a killed browser or a closed loop leaves."""
    is_left = loop.is_closed() and "was destroyed" in context["message"]
    if not is_left and "never retrieved" not in context["message"]:
        loop.default_exception_handler(context)


async def _quiet(work: Any) -> None:
    """Await ``work`` for at most 10 s and drop its failure."""
    try:
        await asyncio.wait_for(work, 10.0)
    except Exception:
        return


def close_shared() -> None:
    """End the process's driver if it runs; the next use starts another."""
    driver = Driver._shared
    if driver is not None:
        driver.close()
