"""Report and Document, what a page shows and what it was made from."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Report:
    """What a page shows after a turn."""

    error: str | None
    """Why the action could not be done, in words for the agent."""
    text: str
    title: str
    url: str
    probe: Any
    stored: bool = False
    """Whether the page has put something into the browser's storage."""
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


def script(value: Any) -> str:
    """Return a value as JavaScript source."""
    return json.dumps(value).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
