"""Recorder, which keeps a page's current document and shows recorded ones again."""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pivot_envs.errors import BrowserError
from pivot_envs.web.report import Document

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Page, Response


class Recorder:
    """The document of one page. All of it belongs to the driver's thread."""

    def __init__(self, page: "Page", cdp: "CDPSession") -> None:
        """Listen to a page."""
        self._page = page
        self._cdp = cdp
        self._response: Response | None = None
        self._served: Document | None = None
        page.on("response", self._on_response)
        cdp.on("Fetch.requestPaused", self._on_paused)

    async def prepare(self, url: str, document: Document | None) -> None:
        """Have the next request for ``url`` answered with ``document``, if there is one."""
        self._response, self._served = None, document
        if document is not None:
            pattern = {"urlPattern": _escaped(url), "resourceType": "Document"}
            await self._cdp.send("Fetch.enable", {"patterns": [pattern]})

    async def finish(self) -> None:
        """Let later requests go to the server."""
        if self._served is not None:
            await self._cdp.send("Fetch.disable")

    def forget(self) -> None:
        """Hear that a document of the server's followed the recorded one."""
        self._served = None

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

    def _on_response(self, response: "Response") -> None:
        request = response.request
        is_document = request.is_navigation_request() and request.frame == self._page.main_frame
        if is_document and not 300 <= response.status < 400:
            self._response = response

    async def _on_paused(self, event: Mapping[str, Any]) -> None:
        document = self._served
        if document is None:
            await self._cdp.send("Fetch.continueRequest", {"requestId": event["requestId"]})
            return
        await self._cdp.send(
            "Fetch.fulfillRequest",
            {
                "requestId": event["requestId"],
                "responseCode": 200,
                "responseHeaders": [{"name": "Content-Type", "value": document.content_type}],
                "body": base64.b64encode(document.body).decode("ascii"),
            },
        )


def _escaped(url: str) -> str:
    return "".join("\\" + character if character in "*?\\" else character for character in url)
