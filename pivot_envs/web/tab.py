"""Tab, the place in the browser where an episode happens; all of it runs on the driver's thread."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from pivot_envs.errors import BrowserError
from pivot_envs.web.chrome import Chrome, Profile
from pivot_envs.web.driver import Driver
from pivot_envs.web.page import LivePage, close_loaded, loaded_page
from pivot_envs.web.parking import ParkedPage, Parking
from pivot_envs.web.report import Document, Report, script
from pivot_envs.web.suite import Start
from pivot_envs.web.tape import Tape, hosts_of, is_closed
from pivot_envs.web.trusted import act_trusted
from pivot_envs.web.view import View

_BLANK = Document("", b"<!DOCTYPE html><title></title>", "text/html")


class Tab:
    """A context and its pages: the one that is acted in, perhaps a spare one, and parked ones."""

    def __init__(self, driver: Driver, view: View) -> None:
        """Name driver and view; nothing is opened yet."""
        self._driver = driver
        self._view = view
        self._chrome: Chrome | None = None
        self._profile: Profile | None = None
        self._reach: tuple[Any, ...] = ()
        self._live: LivePage | None = None
        self._spare: tuple[str, asyncio.Task[LivePage]] | None = None
        self._free: LivePage | None = None
        self._is_repeated = False
        self._last_url = ""
        self._has_stored = False
        self._parking = Parking()
        self._report = Report(None, "", "", "", None)
        self.tape = Tape(Start(""))

    @property
    def report(self) -> Report:
        """What the page showed last."""
        return self._report

    @property
    def has_parked(self) -> bool:
        """Whether pages are parked, which live in this driver's browsers only."""
        return bool(self._parking)

    @property
    def live(self) -> LivePage:
        """The page that is acted in.

        Raises:
            BrowserError: None is open.
        """
        if self._live is None:
            raise BrowserError("no page is open: it was lost; reset the environment")
        return self._live

    async def begin(self, start: Start) -> Report:
        """Open a task's first page."""
        await self._prepare(start)
        if is_closed(start):
            self._live = await self._loaded(start.url)
        else:
            self._live = await self._any_page()
            await self._set_cookies(start.cookies)
            failure = await self._live.go(start.url)
            if failure is not None:
                raise BrowserError(f"{start.url} cannot be opened: {failure}")
        await self._rest_pointer()
        self.tape = Tape(start, url=start.url)
        view = self._view
        report = self._note(await self._live.begin(start.script, view.longest, view.probe))
        self.tape.url = report.url
        self.refill()
        return report

    async def act(self, action: dict[str, Any]) -> Report:
        """Act on the page."""
        report = await self._turn(action)
        self.tape = self.tape.after(action, report)
        return self._note(report)

    async def goto(self, url: str, *, is_back: bool = False) -> Report:
        """Open another document."""
        failure = await self.live.go(url)
        await self._rest_pointer()
        report = await self.live.look(self._view.longest, self._view.probe)
        tape = self.tape
        history = tape.history[:-1] if is_back else [*tape.history, tape.url]
        self.tape = tape.at(report.url, history)
        if failure is not None:
            text = f"{url[:100]} cannot be opened: {failure}\n{report.text}".strip()
            report = replace(report, text=text)
        return self._note(report)

    async def save(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the page as JSON-able data and blobs."""
        closed = is_closed(self.tape.start)
        state, blobs = self.tape.save(None if closed else await self.live.document())
        state["digest"] = list(await self.live.digest())
        if not closed:
            # Real input takes real time, in which answers come or do not.
            state["waits"] = state["waits"] or self._view.input == "trusted"
            assert self._profile is not None
            state["cookies"] = await self._profile.context.cookies()
            state["storage"] = await self.live.call("__pivot.storageAtStart")
        return state, blobs

    async def restore(
        self,
        tape: Tape,
        document: Document | None,
        state: Mapping[str, Any],
        *,
        is_in_turns: bool = False,
    ) -> tuple[str, str]:
        """Bring back a saved page and return its digests; call ``refill`` when it was verified.

        All actions are repeated in one call where that can be, unless ``is_in_turns``: between two
        calls the browser does what it does between a page's tasks, such as to scroll a list to
        what was chosen, or to take the focus from what has disappeared.
        """
        await self._prepare(tape.start)
        self.tape = tape
        if document is None:
            self._live = await self._loaded(tape.start.url)
        else:
            self._live = await self._any_page()
            await self._set_cookies(state["cookies"])
            await self._show(self._live, document, state["storage"])
        await self._rest_pointer()
        view, source = self._view, self._source()
        if view.input == "js" and not (tape.waits or is_in_turns):
            replayed = self._live.replay(source, tape.actions, view.longest, view.probe)
            report, digests = await replayed
        else:
            report = await self._live.begin(source, view.longest, view.probe)
            for action in tape.actions:
                report = await self._turn(action)
            digests = await self._live.digest()
        if document is not None and tape.actions:
            await self._set_cookies(state["cookies"])
        self._note(report)
        return digests

    def park(self) -> int:
        """Set the page aside and return the number that ``unpark`` knows it by."""
        assert self._profile is not None
        token = self._parking.put(ParkedPage(self.live, self._profile, self.tape, self._report))
        self._live = None
        return token

    def unpark(self, token: int) -> Report:
        """Go on with a parked page, and return what it showed last."""
        parked = self._parking.take(token)
        self.drop()
        self._live, self.tape, self._report = parked.live, parked.tape, parked.report
        return parked.report

    def drop(self) -> None:
        """Throw the page away, however it hangs."""
        live, self._live = self._live, None
        if live is not None:
            self._driver.later(live.close())

    async def close(self) -> None:
        """Close the contexts with all their pages."""
        profile = self._profile
        self._forget()
        contexts = [each.context for each in self._parking.clear() if each is not profile]
        for context in [profile.context, *contexts] if profile is not None else contexts:
            self._driver.later(context.close())

    async def _turn(self, action: dict[str, Any]) -> Report:
        view = self._view
        if view.input == "js":
            return await self.live.turn(action, view.longest, view.probe)
        return await act_trusted(self.live, action, view.longest, view.probe)

    async def _rest_pointer(self) -> None:
        """Put the pointer where every document begins with it, for trusted input."""
        if self._view.input == "trusted":
            await self.live.point(0, 0)

    def _source(self) -> str:
        """Return the script that the current document began with."""
        return self.tape.start.script if self.tape.is_first else ""

    async def _prepare(self, start: Start) -> None:
        """Have a living browser, and a context that reaches what the task may reach."""
        view = self._view
        chrome = await self._driver.chrome(view.executable, view.input == "js")
        # Behind a server of its own, a task reaches what that serves: tasks can share a context.
        hosts = hosts_of(start) if start.hosts or start.server is None else ()
        reach = (start.server, hosts)
        is_same = chrome is self._chrome and reach == self._reach and not self._has_stored
        if self._profile is not None and not is_same:
            if not self._parking.uses(self._profile):
                self._driver.later(self._profile.context.close())
            self._forget()
        if self._profile is None:
            self._chrome, self._reach = chrome, reach
            self._profile = await chrome.new_profile(start.server, hosts, self._view.viewport)

    async def _loaded(self, url: str) -> LivePage:
        """Return a page in which a closed document has just loaded, the spare one if it fits."""
        spare, self._spare = self._spare, None
        free, self._live = self._live, None
        live = None
        if spare is not None and spare[0] == url:
            live = await loaded_page(spare[1])
        elif spare is not None and free is None:
            free = await loaded_page(spare[1])
        elif spare is not None:
            self._driver.later(close_loaded(spare[1]))
        if live is None:
            live = free if free is not None and not free.is_lost else await self._new_page()
            free = None
            await _open(live, url)
        self._free, self._is_repeated = free, url == self._last_url
        self._last_url = url
        return live

    def refill(self) -> None:
        """After the same task twice, as in training at pivots, load its page for the next time."""
        free, self._free = self._free, None
        if self._is_repeated:
            task = asyncio.ensure_future(self._load_ahead(free, self._last_url))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._spare = (self._last_url, task)
        elif free is not None:
            self._driver.later(free.close())
        self._is_repeated = False

    async def _load_ahead(self, live: LivePage | None, url: str) -> LivePage:
        live = live if live is not None and not live.is_lost else await self._new_page()
        try:
            await _open(live, url)
        except BaseException:
            self._driver.later(live.close())
            raise
        return live

    async def _any_page(self) -> LivePage:
        return await self._new_page() if self._live is None or self._live.is_lost else self._live

    async def _new_page(self) -> LivePage:
        assert self._chrome is not None
        assert self._profile is not None
        return await LivePage.open(self._chrome, self._profile)

    async def _set_cookies(self, cookies: Sequence[Mapping[str, Any]]) -> None:
        assert self._profile is not None
        await self._profile.context.clear_cookies()
        if cookies:
            await self._profile.context.add_cookies([dict(each) for each in cookies])  # type: ignore[misc]

    async def _show(self, live: LivePage, document: Document, storage: Any) -> None:
        """Show a recorded document, with the storage that it found when it was loaded."""
        if storage != [[], []]:
            await live.go(document.url, _BLANK)
            await live.call(f"__pivot.store({script(storage)})")
        failure = await live.go(document.url, document)
        if failure is not None:
            raise BrowserError(f"{document.url} cannot be opened again: {failure}")

    def _note(self, report: Report) -> Report:
        """Remember a report, and hide a page that a server's redirect brought in from elsewhere."""
        host = urlsplit(report.url).netloc
        if host and host not in hosts_of(self.tape.start):
            text = f"{host[:80]} is not a host of this task: its page is not shown; go back"
            report = replace(report, text=text, title="")
        self._report = report
        self._has_stored = self._has_stored or report.stored
        return report

    def _forget(self) -> None:
        self._chrome = self._profile = self._live = self._spare = self._free = None
        self._is_repeated = False
        self._has_stored = False
        self._last_url = ""


async def _open(live: LivePage, url: str) -> None:
    failure = await live.go(url)
    if failure is not None:
        raise BrowserError(f"{url} cannot be opened: {failure}")
