"""LivePage, one page of the browser: it acts, waits for what follows, and reads."""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pivot_envs.errors import BrowserError
from pivot_envs.web.chrome import Chrome, Profile

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Page, Response

_LOAD_S = 20.0
_BEGIN_S = 0.3
_REQUESTS_S = 5.0
_ABORTED = ("net::ERR_ABORTED", "net::ERR_BLOCKED_BY_CLIENT")


@dataclass(frozen=True, slots=True)
class Report:
    """What a page shows after a turn."""

    error: str | None
    """Why the action could not be done, in words for the agent."""
    text: str
    title: str
    url: str
    probe: Any
    navigated: bool = False
    """Whether the turn led to another document."""
    waited: bool = False
    """Whether the turn waited for answers from a server."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as the server sent it, so that it can be shown again."""

    url: str
    body: bytes
    content_type: str


class LivePage:
    """One page with a CDP session that stays open. All of it belongs to the driver's thread."""

    def __init__(self, chrome: Chrome, profile: Profile, page: "Page", cdp: "CDPSession") -> None:
        """Wrap an open page; see ``open``."""
        self.page = page
        self.cdp = cdp
        self._chrome = chrome
        self._profile = profile
        self._frame_id = ""
        self._requested = False
        self._loading = False
        self._changed = asyncio.Event()
        self._lost: str | None = None
        self._failure: str | None = None
        self._notes: list[str] = []
        self._response: Response | None = None
        self._served: Document | None = None

    @classmethod
    async def open(cls, chrome: Chrome, profile: Profile) -> "LivePage":
        """Open an empty page in a context."""
        page = await chrome.new_page(profile)
        live = cls(chrome, profile, page, await profile.context.new_cdp_session(page))
        await live._listen()
        return live

    async def _listen(self) -> None:
        cdp, page = self.cdp, self.page
        tree, _ = await asyncio.gather(cdp.send("Page.getFrameTree"), cdp.send("Page.enable"))
        self._frame_id = tree["frameTree"]["frame"]["id"]
        for name in ("frameRequestedNavigation", "frameScheduledNavigation"):
            cdp.on(f"Page.{name}", self._on_requested)
        cdp.on("Page.frameStartedLoading", lambda event: self._on_loading(event, True))
        cdp.on("Page.frameStoppedLoading", lambda event: self._on_loading(event, False))
        cdp.on("Fetch.requestPaused", self._on_paused)
        page.on("response", self._on_response)
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
        self._chrome.pages += 1
        self._response = self._failure = None
        self._served = document
        if document is not None:
            pattern = {"urlPattern": _escaped(url), "resourceType": "Document"}
            await self.cdp.send("Fetch.enable", {"patterns": [pattern]})
        self._loading = True
        self._changed.clear()
        reply = await self.cdp.send("Page.navigate", {"url": url})
        failure: str | None = reply.get("errorText")
        if failure is None and "loaderId" in reply:
            await self._wait_for_load()
        self._loading = False
        if document is not None:
            await self.cdp.send("Fetch.disable")
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
        arguments = f"{_script(action)}, {longest}, {_script(probe)}"
        try:
            raw = await self.call(f"__pivot.turn({arguments})")
        except BrowserError:
            if not self._requested or self._lost:
                raise
            raw = None  # the document went away under the script
        return await self.follow(raw, longest, probe)

    async def follow(self, raw: Mapping[str, Any] | None, longest: int, probe: str) -> Report:
        """Wait for a document or answers that an action has asked for, and read again if so."""
        error = raw["error"] if raw is not None else None
        if self._requested or self._loading or raw is None:
            navigated = await self._follow_navigation()
            if navigated or raw is None:
                again = await self.look(longest, probe)
                return _report(again, error, self._drain(), navigated=True)
        if raw is not None and raw["pending"]:
            again = await self._follow_requests(longest, probe)
            text = "\n".join(part for part in (raw["text"], again["text"]) if part)
            del text
            return _report(again, error, self._drain(), navigated=self._requested, waited=True)
        assert raw is not None
        return _report(raw, error, self._drain())

    async def look(self, longest: int, probe: str) -> Mapping[str, Any]:
        """Let a document settle and read it."""
        raw = await self.call(f"__pivot.look({longest}, {_script(probe)})")
        if raw["pending"]:
            raw = await self._follow_requests(longest, probe)
        return dict(raw)

    async def _follow_navigation(self) -> bool:
        """Wait until the document that was asked for is there; tell whether it is a new one."""
        response = self._response
        if not self._loading:
            await self._wait(lambda: self._loading, _BEGIN_S)
        began = self._loading
        if began:
            self._chrome.pages += 1
            await self._wait_for_load()
        self._requested = False
        self._served = None if began else self._served
        return began or self._response is not response

    async def _follow_requests(self, longest: int, probe: str) -> Mapping[str, Any]:
        """Wait for the answers that the page has asked a server for, and read again."""
        raw: Mapping[str, Any] = {"pending": 1}
        end = asyncio.get_running_loop().time() + _REQUESTS_S
        while raw["pending"] and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.002)
            if not await self.call("__pivot.pending"):
                break
        raw = await self.call(f"__pivot.look({longest}, {_script(probe)})")
        if self._requested or self._loading:
            await self._follow_navigation()
            self._requested = True
            raw = await self.call(f"__pivot.look({longest}, {_script(probe)})")
        return dict(raw)

    async def document(self) -> Document | None:
        """Return the current document as it was sent; ``None`` for one that no server sent."""
        if self._served is not None:
            return self._served
        if self._response is None:
            return None
        try:
            body = await self._response.body()
        except Exception as error:
            raise BrowserError(f"the page's document cannot be read again: {error}") from error
        content_type = self._response.headers.get("content-type", "text/html")
        return Document(self._response.url, body, content_type)

    async def digest(self) -> tuple[str, str]:
        """Return digests of what the page shows, and of its clock and randomness."""
        page, clock = await self.call("__pivot.digest()")
        return str(page), str(clock)

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

    async def _wait_for_load(self) -> None:
        if not await self._wait(lambda: not self._loading, _LOAD_S):
            raise BrowserError(f"{self.page.url[:80]} did not load within {_LOAD_S:g} s")

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

    def _drain(self) -> Sequence[str]:
        notes, self._notes = self._notes[:5], []
        return notes

    def _on_requested(self, event: Mapping[str, Any]) -> None:
        if event["frameId"] == self._frame_id:
            self._requested = True
            self._changed.set()

    def _on_loading(self, event: Mapping[str, Any], is_loading: bool) -> None:
        if event["frameId"] == self._frame_id:
            self._loading = is_loading
            self._changed.set()

    def _on_response(self, response: "Response") -> None:
        request = response.request
        if request.is_navigation_request() and request.frame == self.page.main_frame:
            self._response = response if not 300 <= response.status < 400 else None

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

    async def _on_paused(self, event: Mapping[str, Any]) -> None:
        document = self._served
        if document is None:
            await self.cdp.send("Fetch.continueRequest", {"requestId": event["requestId"]})
            return
        await self.cdp.send(
            "Fetch.fulfillRequest",
            {
                "requestId": event["requestId"],
                "responseCode": 200,
                "responseHeaders": [{"name": "Content-Type", "value": document.content_type}],
                "body": base64.b64encode(document.body).decode("ascii"),
            },
        )

    def _lose(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._changed.set()


def _report(
    raw: Mapping[str, Any],
    error: str | None,
    notes: Sequence[str],
    *,
    navigated: bool = False,
    waited: bool = False,
) -> Report:
    text = "\n".join(part for part in (raw["text"], *notes) if part)
    return Report(error, text, raw["title"], raw["url"], raw["probe"], navigated, waited)


def _script(value: Any) -> str:
    """Return a value as JavaScript source."""
    return json.dumps(value).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _escaped(url: str) -> str:
    return "".join("\\" + character if character in "*?\\" else character for character in url)
