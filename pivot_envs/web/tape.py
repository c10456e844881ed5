"""Tape, what has happened in a document: enough to make it happen again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pivot_envs.errors import SnapshotError
from pivot_envs.snapshot import sha256
from pivot_envs.web.report import Document, Report
from pivot_envs.web.suite import Start

_LONGEST_HISTORY = 100


@dataclass(slots=True)
class Tape:
    """The current document of an episode and the actions in it."""

    start: Start
    is_first: bool = True
    """Whether it is the document that the task began with, whose script has run in it."""
    actions: list[dict[str, Any]] = field(default_factory=list)
    waits: bool = False
    """Whether an action waited for a server, so that the next one must not come too early."""
    history: list[str] = field(default_factory=list)
    """Addresses of the documents before this one, latest last."""
    url: str = ""

    def after(self, action: dict[str, Any], report: Report) -> "Tape":
        """Return the tape after an action: this one, or that of the document it led to."""
        if report.navigated:
            return self.at(report.url, [*self.history, self.url])
        self.actions.append(action)
        self.waits = self.waits or report.waited
        self.url = report.url
        return self

    def at(self, url: str, history: list[str]) -> "Tape":
        """Return the tape of another document in which nothing has happened yet."""
        return Tape(self.start, is_first=False, history=history[-_LONGEST_HISTORY:], url=url)

    def save(self, document: Document | None) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the tape as JSON-able data, and the document's blob if a server sent one."""
        state: dict[str, Any] = {
            "is_first": self.is_first,
            "actions": list(self.actions),
            "waits": self.waits,
            "history": list(self.history),
        }
        if document is None:
            return state, {}
        blob = sha256(document.body)
        state |= {"url": document.url, "document": [blob, document.content_type]}
        return state, {blob: document.body}

    @classmethod
    def load(
        cls, start: Start, state: Mapping[str, Any], blobs: Mapping[str, bytes]
    ) -> tuple["Tape", Document | None]:
        """Return what ``save`` was given.

        Raises:
            SnapshotError: The document is missing.
        """
        tape = cls(
            start,
            is_first=state["is_first"],
            actions=list(state["actions"]),
            waits=state["waits"],
            history=list(state["history"]),
            url=state.get("url", start.url),
        )
        if "document" not in state:
            if not is_closed(start):
                raise SnapshotError("the snapshot holds no document, but its task has a server")
            return tape, None
        blob, content_type = state["document"]
        if blob not in blobs:
            raise SnapshotError(f"blob {blob[:12]} is missing: it holds the page's document")
        return tape, Document(tape.url, blobs[blob], content_type)


def is_closed(start: Start) -> bool:
    """Tell whether a task lies in one page without a server."""
    return start.url.startswith("file:")


def hosts_of(start: Start) -> tuple[str, ...]:
    """Return the hosts that a task's pages may be opened from, its own first."""
    own = urlsplit(start.url).netloc
    return tuple(dict.fromkeys(host for host in (own, *start.hosts) if host))
