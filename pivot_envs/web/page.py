"""LivePage, one page of the browser: it acts, waits for what follows, and reads."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pivot_envs.errors import BrowserError
from pivot_envs.web.chrome import Chrome, Profile
from pivot_envs.web.recorder import Recorder
from pivot_envs.web.report import Document, Report, script

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Page

_LOAD_S = 20.0
_BEGIN_S = 0.3
_REQUESTS_S = 5.0
_MOST_ROUNDS = 10
_MOST_NOTES = 5
_ABORTED = ("net::ERR_ABORTED", "net::ERR_BLOCKED_BY_CLIENT")


class LivePage:
    """One page with a CDP session that stays open. All of it belongs to the driver's thread."""

    def __init__(self, chrome: Chrome, profile: Profile, page: "Page", cdp: "CDPSession") -> None:
        """Wrap an open page; see ``open``."""
        self.page = page
        self.cdp = cdp
        self.pointer: tuple[float, float] = (0.0, 0.0)
        self._chrome = chrome
        self._profile = profile
        self._frame_id = ""
        self._requested = False
        self._loading = False
        self._has_moved = False
        self._is_going = False
        self._changed = asyncio.Event()
        self._lost: str | None = None
        self._failure: str | None = None
        self._notes: list[str] = []
        self._recorder = Recorder(page, cdp)

    @classmethod
    async def open(cls, chrome: Chrome, profile: Profile) -> "LivePage":
        """Open an empty page in a context."""
        page = await chrome.new_page(profile)
        live = cls(chrome, profile, page, await profile.context.new_cdp_session(page))
        await live._listen()
        return live

    async def _listen(self) -> None:
        cdp, page = self.cdp, self.page
        await cdp.send("Page.enable")
        tree = await cdp.send("Page.getFrameTree")
        self._frame_id = tree["frameTree"]["frame"]["id"]
        for name in ("frameRequestedNavigation", "frameScheduledNavigation"):
            cdp.on(f"Page.{name}", self._on_requested)
        cdp.on("Page.frameStartedLoading", lambda event: self._on_loading(event, True))
        cdp.on("Page.frameStoppedLoading", lambda event: self._on_loading(event, False))
        cdp.on("Page.frameNavigated", self._on_navigated)
        page.on("requestfailed", self._on_failed)
        page.on("dialog", self._on_dialog)
        page.on("popup", self._on_popup)
        page.on("download", lambda _: self._notes.append("a download was refused"))
        page.on("crash", lambda _: self._lose("the page crashed"))
        page.on("close", lambda _: self._lose("the page was closed"))

    async def go(self, url: str, document: Document | None = None) -> str | None:
        """Open ``url``, from the recorded ``document`` if there is one.

        Returns:
            Why it could not be opened, or ``None``.
        """
        self._chrome.documents += 1
        self._failure = None
        self._is_going = True
        await self._recorder.prepare(url, document)
        self._loading = True
        reply = await self.cdp.send("Page.navigate", {"url": url})
        failure: str | None = reply.get("errorText")
        if failure is None and "loaderId" in reply:
            await self._wait_for_load(url)
        self._loading = self._requested = self._has_moved = self._is_going = False
        await self._recorder.finish()
        return failure or self._failure

    async def call(self, expression: str) -> Any:
        """Evaluate JavaScript whose value is JSON text, and return the value it stands for."""
        reply = await self._send(
            "Runtime.evaluate", {"expression": expression, "returnByValue": True}
        )
        if "exceptionDetails" in reply:
            details = reply["exceptionDetails"]
            reason = details.get("exception", {}).get("description") or details.get("text")
            raise BrowserError(f"the page broke the script that reads it: {reason}")
        value = reply["result"].get("value")
        return json.loads(value) if isinstance(value, str) else value

    async def turn(self, action: Mapping[str, Any], longest: int, probe: str) -> Report:
        """Act, let the consequences settle, and read, in one call unless the page goes on."""
        self._requested = False
        arguments = f"{script(action)}, {longest}, {script(probe)}"
        return await self._follow(f"__pivot.turn({arguments})", longest, probe)

    async def look(
        self, longest: int, probe: str, error: str | None = None, *, settles: bool = True
    ) -> Report:
        """Let what is going on settle, and read; ``error`` is what the report says went wrong."""
        arguments = f"{longest}, {script(probe)}, {script(error)}, {script(settles)}"
        return await self._follow(f"__pivot.look({arguments})", longest, probe)

    async def begin(self, source: str, longest: int, probe: str) -> Report:
        """Run a script in a document that has just loaded, and read."""
        call = f"__pivot.look({longest}, {script(probe)})"
        return await self._follow(f"{source}\n;{call}" if source else call, longest, probe)

    async def replay(
        self, source: str, actions: Sequence[Any], longest: int, probe: str
    ) -> tuple[Report, tuple[str, str]]:
        """Do what ``begin`` and some turns did in one call, read, and return the digests too.

        The actions may not lead to another document or wait for a server.
        """
        arguments = f"{script(list(actions))}, {longest}, {script(probe)}"
        raw = await self.call(f"{source}\n;__pivot.replay({arguments})")
        page, clock = raw["digest"]
        return self._report(raw, None, False), (page, clock)

    async def _follow(self, expression: str, longest: int, probe: str) -> Report:
        """Call the page, and again while it waits for a document or for a server's answers."""
        waited = False
        raw = await self._call_or_leave(expression)
        error = raw["error"] if raw is not None else None
        for _ in range(_MOST_ROUNDS):
            if self._requested or self._loading:
                if not await self._follow_navigation() and raw is not None:
                    continue  # it was refused, and what was read stands
            elif raw is not None and raw["pending"]:
                waited = True
                await self._follow_requests()
            elif raw is not None:
                break
            if raw is not None:
                self._notes += raw["notes"]
            raw = await self._call_or_leave(f"__pivot.look({longest}, {script(probe)})")
        if raw is None:
            raise BrowserError("the page opens one document after another without end")
        return self._report(raw, error, waited)

    def _report(self, raw: Mapping[str, Any], error: str | None, waited: bool) -> Report:
        navigated, self._has_moved = self._has_moved, False
        notes, self._notes = [*self._notes, *raw["notes"]][: _MOST_NOTES + 1], []
        text = "\n".join(part for part in (raw["text"], *notes) if part)
        return Report(
            error, text, raw["title"], raw["url"], raw["probe"], raw["stored"], navigated, waited
        )

    async def settle(self) -> None:
        """Let virtual time pass, unless another document is on its way."""
        if not (self._requested or self._loading):
            await self._call_or_leave("__pivot.settle()")

    async def point(self, x: float, y: float) -> None:
        """Move the pointer."""
        self.pointer = (x, y)
        await self.page.mouse.move(x, y)

    async def _call_or_leave(self, expression: str) -> Any:
        """Call the page; ``None`` if its document went away meanwhile."""
        try:
            return await self.call(expression)
        except BrowserError:
            raise
        except Exception:
            if self._lost or not (self._requested or self._loading or self._has_moved):
                raise
            return None

    async def _follow_navigation(self) -> bool:
        """Wait until the document that was asked for is there; tell whether it came."""
        if not self._loading and not await self._wait(lambda: self._loading, _BEGIN_S):
            self._requested = False
            return self._has_moved
        self._requested = False
        self._chrome.documents += 1
        await self._wait_for_load(self.page.url)
        return True

    async def _follow_requests(self) -> None:
        """Wait for the answers that the page has asked a server for."""
        end = asyncio.get_running_loop().time() + _REQUESTS_S
        while asyncio.get_running_loop().time() < end and not self._requested:
            if not await self.call("__pivot.pending"):
                return
            await asyncio.sleep(0.002)
        await self.call("__pivot.pending = 0")

    async def document(self) -> Document | None:
        """Return the current document as it was sent; ``None`` for one that no server sent."""
        return await self._recorder.document()

    async def digest(self) -> tuple[str, str]:
        """Return digests of what the page shows, and of its clock and randomness."""
        page, clock = await self.call("__pivot.digest()")
        return str(page), str(clock)

    @property
    def is_lost(self) -> bool:
        """Whether the page has crashed or was closed."""
        return self._lost is not None

    async def screenshot(self) -> bytes:
        """Return the page as PNG."""
        return await self._chrome.screenshot(self.cdp)

    async def close(self) -> None:
        """Close the page, even one whose scripts never end."""
        await self.page.close()

    async def _send(self, method: str, parameters: Mapping[str, Any]) -> Any:
        if self._lost:
            raise BrowserError(self._lost)
        return await self.cdp.send(method, dict(parameters))

    async def _wait_for_load(self, url: str) -> None:
        if not await self._wait(lambda: not self._loading, _LOAD_S):
            raise BrowserError(f"{url[:80]} did not load within {_LOAD_S:g} s")

    async def _wait(self, is_true: Any, timeout_s: float) -> bool:
        end = asyncio.get_running_loop().time() + timeout_s
        while not is_true():
            if self._lost:
                raise BrowserError(self._lost)
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return bool(is_true())
        return True

    def _on_requested(self, event: Mapping[str, Any]) -> None:
        if event["frameId"] == self._frame_id:
            self._requested = True
            self._changed.set()

    def _on_loading(self, event: Mapping[str, Any], is_loading: bool) -> None:
        if event["frameId"] == self._frame_id:
            self._loading = is_loading
            self._changed.set()

    def _on_navigated(self, event: Mapping[str, Any]) -> None:
        if event["frame"]["id"] == self._frame_id:
            self._has_moved = True
            if not self._is_going:
                self._recorder.forget()

    def _on_failed(self, request: Any) -> None:
        if request.is_navigation_request() and request.frame == self.page.main_frame:
            self._failure = request.failure
            host = urlsplit(request.url).netloc
            if request.failure not in _ABORTED:
                self._notes.append(f"{host or request.url[:80]} cannot be reached from here")

    async def _on_dialog(self, dialog: Any) -> None:
        self._notes.append(f"dialog: {dialog.type} {dialog.message[:200]!r}, accepted")
        await dialog.accept()

    async def _on_popup(self, popup: "Page") -> None:
        self._notes.append("a popup was closed; use goto to open its address here")
        await popup.close()

    def _lose(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._changed.set()


async def loaded_page(loading: "asyncio.Task[LivePage]") -> LivePage | None:
    """Wait for a page that is loading ahead; ``None`` if it has failed or died."""
    try:
        live = await loading
    except Exception:
        return None  # then the page is loaded again
    return None if live.is_lost else live


async def close_loaded(loading: "asyncio.Task[LivePage]") -> None:
    """Close a page that was loaded ahead for nothing."""
    live = await loaded_page(loading)
    if live is not None:
        await live.close()
