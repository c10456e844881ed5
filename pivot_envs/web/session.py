"""BrowserSession, one agent's browser: begins, acts, is saved and resumed, and recovers."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar, get_args
from urllib.parse import urlsplit

from pivot_envs.errors import ActionError, BrowserError, ReplayError, SnapshotError
from pivot_envs.web.driver import Driver
from pivot_envs.web.report import Report
from pivot_envs.web.suite import Start
from pivot_envs.web.tab import Tab
from pivot_envs.web.tape import Tape, hosts_of
from pivot_envs.web.view import Input, View

Result = TypeVar("Result")


class BrowserSession:
    """A tab of its own in the process's browser, used from any one thread at a time.

    Whatever goes wrong with page, browser or Playwright is a ``BrowserError``; the next ``begin``
    or ``restore`` starts afresh.
    """

    def __init__(self, view: View, *, timeout_s: float = 30.0) -> None:
        """Create the session; nothing starts before ``begin``.

        Args:
            view: How pages are acted in and looked at.
            timeout_s: Seconds after which a page counts as hung.

        Raises:
            ValueError: ``view.input`` is unknown or the timeout is not positive.
        """
        if view.input not in get_args(Input):
            raise ValueError(f"input must be one of {get_args(Input)}, got {view.input!r}")
        if timeout_s <= 0:
            raise ValueError(f"timeout_s must be positive, got {timeout_s}")
        self._view = view
        self._timeout_s = timeout_s
        self._driver: Driver | None = None
        self._tab: Tab | None = None

    def begin(self, start: Start) -> Report:
        """Open a task's first page.

        Raises:
            BrowserError: The page cannot be opened.
            BrowserUnavailableError: There is no browser.
        """
        return self._recovering(lambda tab: tab.begin(start))

    def act(self, name: str, arguments: Mapping[str, Any]) -> Report:
        """Act on the page; ``Report.error`` says why it could not be done.

        Raises:
            BrowserError: The page hung or died.
        """
        action = {"name": name, "arguments": dict(arguments)}
        return self._run(lambda tab: tab.act(action))

    def goto(self, url: str) -> Report:
        """Open an address of an allowed host.

        Raises:
            ActionError: The address is not allowed.
            BrowserError: The page hung or died.
        """
        start = self._open_tab().tape.start
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.netloc not in hosts_of(start):
            known = ", ".join(hosts_of(start)) or "none"
            raise ActionError(f"{url[:100]!r} is not reachable; the hosts are {known}")
        return self._run(lambda tab: tab.goto(url))

    def back(self) -> Report:
        """Open the document before this one.

        Raises:
            ActionError: There is none.
            BrowserError: The page hung or died.
        """
        history = self._open_tab().tape.history
        if not history:
            raise ActionError("there is no page to go back to")
        url = history[-1]
        return self._run(lambda tab: tab.goto(url, is_back=True))

    def digest(self) -> str:
        """Return a digest of what the page shows and stores.

        Raises:
            BrowserError: The page hung or died.
        """
        return self._run(lambda tab: tab.live.digest())[0]

    def save(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the page as JSON-able data and blobs; the page goes on undisturbed.

        Raises:
            BrowserError: The page hung or died.
        """
        return self._run(lambda tab: tab.save())

    def restore(
        self,
        start: Start,
        state: Mapping[str, Any],
        blobs: Mapping[str, bytes],
        settle_server: Callable[[], object],
    ) -> Report:
        """Bring back a saved page and verify it.

        Args:
            start: Where the task began.
            state: What ``save`` returned.
            blobs: What ``save`` returned.
            settle_server: Called when the page is back, to put the server's state right.

        Raises:
            ReplayError: The page came back different.
            SnapshotError: The state is damaged.
            BrowserError: The page cannot be opened.
            BrowserUnavailableError: There is no browser.
        """
        page, clock = state["digest"]

        async def restore(tab: Tab) -> tuple[Report, tuple[str, str]]:
            tape, document = Tape.load(start, state, blobs)
            found = await tab.restore(tape, document, state)
            if list(found) != [page, clock] and not tape.waits:
                found = await tab.restore(tape, document, state, is_in_turns=True)
            tab.refill()
            return tab.report, found

        report, found = self._recovering(restore)
        settle_server()
        # What waited for a server may have settled in another rhythm.
        if found[0] != page or (found[1] != clock and not state["waits"]):
            self._drop_page()
            raise ReplayError(
                f"the page came back different (digest {found}, expected {[page, clock]}): it "
                "depends on something that is not saved, or the suite's files have changed"
            )
        return report

    def park(self) -> int:
        """Set the live page aside and return the number that ``unpark`` knows it by.

        Raises:
            BrowserError: No page is open.
        """
        return self._run(lambda tab: _at_once(tab.park))

    def unpark(self, token: int) -> Report:
        """Go on with a parked page, and return what it showed last.

        Raises:
            SnapshotError: It was used before, or this session has never parked it.
        """
        if self._tab is None:
            raise SnapshotError("this environment has parked no page, or was closed since")
        return self._run(lambda tab: _at_once(lambda: tab.unpark(token)))

    def screenshot(self) -> bytes:
        """Return the page as PNG.

        Raises:
            BrowserError: The page hung or died.
        """
        return self._run(lambda tab: tab.live.screenshot())

    def close(self) -> None:
        """Close page and context; the session can begin again."""
        driver, tab = self._driver, self._tab
        self._tab = None
        if driver is not None and tab is not None:
            driver.leave(tab)
            driver.spawn(tab.close())

    def _open_tab(self) -> Tab:
        if self._tab is None:
            raise BrowserError("no page is open: reset the environment")
        return self._tab

    def _run(self, work: Callable[[Tab], Coroutine[Any, Any, Result]]) -> Result:
        tab, driver = self._open_tab(), self._driver
        assert driver is not None

        async def run() -> Result:
            return await work(tab)

        try:
            return driver.run(run(), self._timeout_s)
        except BrowserError:
            self._drop_page()
            raise

    def _recovering(self, work: Callable[[Tab], Coroutine[Any, Any, Result]]) -> Result:
        """Run what opens a page; if it fails, again in a new context, then with a new driver."""
        failure: BrowserError | None = None
        for attempt in range(3):
            if attempt:
                self.close()
            if attempt == 2 and self._driver is not None:
                self._driver.close()
            if self._tab is None or not self._tab.has_parked:
                self._move(Driver.shared())
            try:
                return self._run(work)
            except BrowserError as error:
                failure = error
        assert failure is not None
        raise failure

    def _move(self, driver: Driver) -> None:
        """Have a tab in this driver's browser."""
        if self._tab is None or driver is not self._driver:
            self.close()
            self._driver, self._tab = driver, Tab(driver, self._view)
            driver.join(self._tab)

    def _drop_page(self) -> None:
        if self._tab is not None and self._driver is not None:
            self._driver.spawn(_at_once(self._tab.drop))


async def _at_once(call: Callable[[], Result]) -> Result:
    return call()
