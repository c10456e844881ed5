"""BrowserSession, one agent's browser: begins, acts, is saved and resumed, and recovers."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pivot_envs.errors import ActionError, BrowserError, SnapshotError
from pivot_envs.snapshot import sha256
from pivot_envs.web.chrome import Chrome, Profile
from pivot_envs.web.driver import Driver
from pivot_envs.web.page import Document, LivePage, Report, script
from pivot_envs.web.suite import Start
from pivot_envs.web.trusted import act_trusted

Result = TypeVar("Result")
Input = Literal["js", "trusted"]

_MOST_PARKED = 64
_BLANK = Document("", b"<!DOCTYPE html><title></title>", "text/html")


@dataclass(frozen=True, slots=True)
class View:
    """How pages are looked at."""

    viewport: tuple[int, int]
    """Width and height in CSS pixels."""
    probe: str
    """JavaScript expression evaluated after each turn."""
    longest: int
    """Most characters of an observation."""


@dataclass(slots=True)
class Tape:
    """What has happened in the current document, so that it can happen again."""

    start: Start
    is_first: bool = True
    """Whether it is the document that the task began with, whose script has run in it."""
    actions: list[dict[str, Any]] = field(default_factory=list)
    waits: bool = False
    """Whether an action waited for a server, so that the next one must not come too early."""
    history: list[str] = field(default_factory=list)
    """Addresses of the documents before this one, latest last."""
    url: str = ""


@dataclass(frozen=True, slots=True)
class ParkedPage:
    """A live page that was set aside."""

    live: LivePage
    chrome: Chrome
    profile: Profile
    tape: Tape
    report: Report


class BrowserSession:
    """A page of its own in the process's browser, used from any one thread at a time.

    Whatever goes wrong with page, browser or Playwright is a ``BrowserError``; the next ``begin``
    or ``restore`` starts afresh.
    """

    def __init__(
        self,
        view: View,
        *,
        input: Input = "js",
        executable: str | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """Create the session; nothing starts before ``begin``.

        Args:
            view: How pages are looked at.
            input: ``js`` acts with synthetic events, ``trusted`` with mouse and keyboard.
            executable: A browser's name or path; by default the best one of the machine.
            timeout_s: Seconds after which a page counts as hung.

        Raises:
            ValueError: ``input`` is unknown or the timeout is not positive.
        """
        if input not in get_args(Input):
            raise ValueError(f"input must be one of {get_args(Input)}, got {input!r}")
        if timeout_s <= 0:
            raise ValueError(f"timeout_s must be positive, got {timeout_s}")
        self._view = view
        self._input = input
        self._executable = executable
        self._timeout_s = timeout_s
        self._driver: Driver | None = None
        self._chrome: Chrome | None = None
        self._profile: Profile | None = None
        self._reach: tuple[Any, ...] = ()
        self._live: LivePage | None = None
        self._spare: tuple[str, asyncio.Task[LivePage]] | None = None
        self._last_url = ""
        self._tape = Tape(Start(""))
        self._report = Report(None, "", "", "", None)
        self._has_stored = False
        self._parked: dict[int, ParkedPage] = {}
        self._next_token = 0

    def begin(self, start: Start) -> Report:
        """Open a task's first page.

        Raises:
            BrowserError: The page cannot be opened.
            BrowserUnavailableError: There is no browser.
        """
        return self._recovering(lambda: self._begin(start))

    def act(self, name: str, arguments: Mapping[str, Any]) -> Report:
        """Act on the page; ``Report.error`` says why it could not be done.

        Raises:
            BrowserError: The page hung or died.
        """
        return self._run(self._act({"name": name, "arguments": dict(arguments)}))

    def goto(self, url: str) -> Report:
        """Open an address of an allowed host.

        Raises:
            ActionError: The address is not allowed.
            BrowserError: The page hung or died.
        """
        return self._run(self._goto(self._allowed(url)))

    def back(self) -> Report:
        """Open the document before this one.

        Raises:
            ActionError: There is none.
            BrowserError: The page hung or died.
        """
        if not self._tape.history:
            raise ActionError("there is no page to go back to")
        return self._run(self._goto(self._tape.history[-1], is_back=True))

    def digest(self) -> str:
        """Return a digest of what the page shows and stores.

        Raises:
            BrowserError: The page hung or died.
        """
        return self._run(self._page().digest())[0]

    def save(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the page as JSON-able data and blobs; the page goes on undisturbed.

        Raises:
            BrowserError: The page hung or died.
        """
        return self._run(self._save())

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
            SnapshotError: The page came back different, or the state is damaged.
            BrowserError: The page cannot be opened.
            BrowserUnavailableError: There is no browser.
        """
        tape, document = _read(start, state, blobs)
        report = self._recovering(lambda: self._restore(tape, document, state))
        settle_server()
        found = list(self._run(self._page().digest()))
        # What waited for a server may have settled in another rhythm.
        compared = 1 if tape.waits else 2
        if found[:compared] != list(state["digest"])[:compared]:
            self._drop_page()
            raise SnapshotError(
                f"the page came back different (digest {found}, expected {state['digest']}): it "
                "depends on something that is not saved, or the suite's files have changed"
            )
        return report

    def park(self) -> int:
        """Set the live page aside and return the number that ``unpark`` knows it by.

        Raises:
            BrowserError: No page is open.
        """
        live = self._page()
        assert self._chrome is not None
        assert self._profile is not None
        if len(self._parked) >= _MOST_PARKED:
            raise BrowserError(f"{_MOST_PARKED} pages are parked: resume or close some")
        self._next_token += 1
        self._parked[self._next_token] = ParkedPage(
            live, self._chrome, self._profile, self._tape, self._report
        )
        self._live = None
        return self._next_token

    def unpark(self, token: int) -> Report:
        """Go on with a parked page, and return what it showed last.

        Raises:
            SnapshotError: It was used before, or this session has never parked it.
        """
        parked = self._parked.pop(token, None)
        if parked is None or parked.chrome is not self._chrome or parked.live.is_lost:
            raise SnapshotError(
                "a parked page can be resumed once, in the environment and process that parked it, "
                "while its browser lives"
            )
        self._drop_page()
        self._live, self._tape, self._report = parked.live, parked.tape, parked.report
        return parked.report

    def screenshot(self) -> bytes:
        """Return the page as PNG.

        Raises:
            BrowserError: The page hung or died.
        """
        return self._run(self._page().screenshot())

    def close(self) -> None:
        """Close page and context; the session can begin again."""
        driver, chrome, profile = self._driver, self._chrome, self._profile
        self._forget()
        if driver is not None and chrome is not None and profile is not None:
            driver.spawn(_discard(driver, chrome, profile))

    # What follows runs on the driver's thread.

    async def _begin(self, start: Start) -> Report:
        is_closed = start.url.startswith("file:")
        await self._prepare(start)
        live = await self._opened(start.url) if is_closed else None
        if live is None:
            live = await self._blank_page()
            await self._set_cookies(start.cookies)
            failure = await live.go(start.url)
            if failure is not None:
                raise BrowserError(f"{start.url} cannot be opened: {failure}")
        self._live = live
        self._tape = Tape(start, url=start.url)
        if start.script:
            await live.call(start.script)
        report = self._note(await live.look(self._view.longest, self._view.probe))
        self._tape.url = report.url
        return report

    async def _prepare(self, start: Start) -> None:
        """Have a living browser, and a context that reaches what the task may reach."""
        assert self._driver is not None
        chrome = await self._driver.chrome(self._executable)
        reach = (start.server, _hosts(start))
        is_same = chrome is self._chrome and reach == self._reach and not self._has_stored
        if self._profile is not None and not is_same:
            assert self._chrome is not None
            self._driver.later(_discard(self._driver, self._chrome, self._profile))
            self._forget()
        if self._profile is None:
            self._chrome, self._reach = chrome, reach
            chrome.users += 1
            self._profile = await chrome.new_profile(
                start.server, _hosts(start), self._view.viewport
            )

    async def _opened(self, url: str) -> LivePage:
        """Return a page in which a closed document has just loaded, the spare one if it fits."""
        spare, self._spare = self._spare, None
        old, self._live = self._live, None
        live = None
        if spare is not None and spare[0] == url:
            live = await _result(spare[1])
        elif spare is not None:
            old = old or await _result(spare[1])
        if live is None:
            live = old if old is not None and not old.is_lost else await self._new_page()
            old = None
            failure = await live.go(url)
            if failure is not None:
                raise BrowserError(f"{url} cannot be opened: {failure}")
        if url == self._last_url:
            # The same task again, as in training at pivots: load it ahead for the next time.
            self._spare = (url, asyncio.ensure_future(self._load_ahead(old, url)))
        elif old is not None and old is not live:
            self._background().later(old.close())
        self._last_url = url
        return live

    async def _load_ahead(self, live: LivePage | None, url: str) -> LivePage:
        # The turn that begins now goes first.
        await asyncio.sleep(0)
        live = live if live is not None and not live.is_lost else await self._new_page()
        failure = await live.go(url)
        if failure is not None:
            raise BrowserError(failure)
        return live

    async def _blank_page(self) -> LivePage:
        if self._live is None or self._live.is_lost:
            self._live = await self._new_page()
        return self._live

    def _background(self) -> Driver:
        assert self._driver is not None
        return self._driver

    async def _new_page(self) -> LivePage:
        assert self._chrome is not None
        assert self._profile is not None
        return await LivePage.open(self._chrome, self._profile)

    async def _set_cookies(self, cookies: Sequence[Mapping[str, Any]]) -> None:
        assert self._profile is not None
        await self._profile.context.clear_cookies()
        if cookies:
            await self._profile.context.add_cookies([dict(each) for each in cookies])  # type: ignore[misc]

    async def _act(self, action: dict[str, Any]) -> Report:
        live, view = self._page(), self._view
        if self._input == "js":
            report = await live.turn(action, view.longest, view.probe)
        else:
            report = await act_trusted(live, action, view.longest, view.probe)
        self._record(action, report)
        return self._note(report)

    def _note(self, report: Report) -> Report:
        """Remember a report, and hide a page that a server's redirect brought in from elsewhere."""
        host = urlsplit(report.url).netloc
        if host and host not in _hosts(self._tape.start):
            text = f"{host[:80]} is not a host of this task: its page is not shown; go back"
            report = replace(report, text=text, title="")
        self._report = report
        self._has_stored = self._has_stored or report.stored
        return report

    def _record(self, action: dict[str, Any], report: Report) -> None:
        tape = self._tape
        if not report.navigated:
            tape.actions.append(action)
            tape.waits = tape.waits or report.waited
            tape.url = report.url
            return
        history = [*tape.history, tape.url][-100:]
        self._tape = Tape(tape.start, is_first=False, history=history, url=report.url)

    async def _goto(self, url: str, is_back: bool = False) -> Report:
        live, tape = self._page(), self._tape
        failure = await live.go(url)
        report = await live.look(self._view.longest, self._view.probe)
        history = tape.history[:-1] if is_back else [*tape.history, tape.url][-100:]
        self._tape = Tape(tape.start, is_first=False, history=history, url=report.url)
        report = self._note(report)
        if failure is not None:
            text = f"{url[:100]} cannot be opened: {failure}\n{report.text}".strip()
            return Report(None, text, report.title, report.url, report.probe, navigated=True)
        return report

    async def _save(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        live, tape = self._page(), self._tape
        assert self._profile is not None
        is_closed = tape.start.url.startswith("file:")
        document = None if is_closed else await live.document()
        state: dict[str, Any] = {
            "url": "" if document is None else document.url,
            "is_first": tape.is_first,
            "actions": list(tape.actions),
            "waits": tape.waits,
            "history": list(tape.history),
            "digest": list(await live.digest()),
        }
        if document is None:
            return state, {}
        blob = sha256(document.body)
        state["document"] = [blob, document.content_type]
        state["cookies"] = await self._profile.context.cookies()
        state["storage"] = await live.call("__pivot.storageAtStart")
        return state, {blob: document.body}

    async def _restore(
        self, tape: Tape, document: Document | None, state: Mapping[str, Any]
    ) -> Report:
        await self._prepare(tape.start)
        live: LivePage
        if document is None:
            live = await self._opened(tape.start.url)
        else:
            live = await self._blank_page()
            await self._set_cookies(state["cookies"])
            if state["storage"] != [[], []]:
                await live.go(document.url, _BLANK)
                await live.call(f"__pivot.store({script(state['storage'])})")
            failure = await live.go(document.url, document)
            if failure is not None:
                raise BrowserError(f"{document.url} cannot be opened again: {failure}")
        self._live, self._tape = live, tape
        if tape.is_first and tape.start.script:
            await live.call(tape.start.script)
        report = await self._replay(live, tape)
        if document is not None and tape.actions:
            await self._set_cookies(state["cookies"])
        return self._note(report)

    async def _replay(self, live: LivePage, tape: Tape) -> Report:
        view = self._view
        report = await live.look(view.longest, view.probe)
        if self._input == "js" and not tape.waits:
            return (
                await live.replay(tape.actions, view.longest, view.probe)
                if tape.actions
                else report
            )
        for action in tape.actions:
            if self._input == "js":
                report = await live.turn(action, view.longest, view.probe)
            else:
                report = await act_trusted(live, action, view.longest, view.probe)
        return report

    # Back on the caller's thread.

    def _page(self) -> LivePage:
        if self._live is None:
            raise BrowserError("no page is open: it was lost; reset the environment")
        return self._live

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        if self._driver is None:
            work.close()
            raise BrowserError("no page is open: reset the environment")
        try:
            return self._driver.run(work, self._timeout_s)
        except BrowserError:
            self._drop_page()
            raise

    def _recovering(self, make_work: Callable[[], Coroutine[Any, Any, Report]]) -> Report:
        """Run what opens a page; if it fails, again in a new browser, then with a new driver."""
        failure: BrowserError | None = None
        for attempt in range(3):
            if attempt == 2 and self._driver is not None:
                self._driver.close()
            if attempt:
                self.close()
            self._driver = Driver.shared()
            try:
                return self._run(make_work())
            except BrowserError as error:
                failure = error
        assert failure is not None
        raise failure

    def _drop_page(self) -> None:
        """Throw the page away, however it hangs."""
        live, self._live = self._live, None
        if live is not None and self._driver is not None:
            self._driver.spawn(live.close())

    def _forget(self) -> None:
        self._chrome = self._profile = self._live = self._spare = None
        self._has_stored = False
        self._last_url = ""
        self._parked.clear()

    def _allowed(self, url: str) -> str:
        parts = urlsplit(url)
        hosts = _hosts(self._tape.start)
        if parts.scheme not in ("http", "https") or parts.netloc not in hosts:
            known = ", ".join(hosts) or "none"
            raise ActionError(f"{url[:100]!r} is not reachable; the hosts are {known}")
        return url


def _hosts(start: Start) -> tuple[str, ...]:
    own = urlsplit(start.url).netloc
    return tuple(dict.fromkeys(host for host in (own, *start.hosts) if host))


def _read(
    start: Start, state: Mapping[str, Any], blobs: Mapping[str, bytes]
) -> tuple[Tape, Document | None]:
    """Return what happened in a saved document, and the document if a server sent it."""
    tape = Tape(
        start,
        is_first=state["is_first"],
        actions=list(state["actions"]),
        waits=state["waits"],
        history=list(state["history"]),
        url=state["url"],
    )
    if "document" not in state:
        if not start.url.startswith("file:"):
            raise SnapshotError("the snapshot holds no document, but its task has a server")
        tape.url = start.url
        return tape, None
    blob, content_type = state["document"]
    if blob not in blobs:
        raise SnapshotError(f"blob {blob[:12]} is missing: it holds the page's document")
    return tape, Document(state["url"], blobs[blob], content_type)


async def _result(task: "asyncio.Task[LivePage]") -> LivePage | None:
    try:
        live = await task
    except Exception:
        return None
    return None if live.is_lost else live


async def _quietly(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await asyncio.wait_for(work, 10.0)
    except Exception:
        return


async def _discard(driver: Driver, chrome: Chrome, profile: Profile) -> None:
    await _quietly(profile.context.close())
    await driver.release(chrome)
