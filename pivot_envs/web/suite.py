"""Suite, the tasks of a web environment: where each begins, and what decides its reward.

A shop of your own, on a server of your own, is one small class::

    class Shop(Suite):
        name = "shop"
        tools = ("answer",)

        def __init__(self):
            self._server = None

        def templates(self):
            return ("buy-mug", "count-orders")

        def begin(self, template, seed):
            self._server = self._server or start_server()  # a thread, on a free port
            goal = self._server.set_up(template, seed)  # a fresh database
            address = ("127.0.0.1", self._server.port)
            return Start(url="http://shop.test/", goal=goal, server=address)

        def grade(self, page, answer):
            return Verdict(self._server.score(answer), terminated=answer is not None)

        def save(self):
            database = self._server.database_bytes()
            return {"database": sha256(database)}, {sha256(database): database}

        def load(self, template, seed, state, blobs):
            start = self.begin(template, seed)
            self._server.replace_database(blobs[state["database"]])
            return start

        def digest(self):
            return sha256(self._server.database_bytes())

    env = gym.make("pivot/Web-v0", suite="my_module:Shop")
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pivot_envs.snapshot import sha256


@dataclass(frozen=True, slots=True)
class Start:
    """Where and how an episode begins."""

    url: str
    """The first page. Its host is a name of your choice if ``server`` is given, which keeps
    snapshots free of port numbers; else it is a loopback host and port, or a ``file:`` page."""
    goal: str = ""
    """The task in words; empty if the page itself says it: then ``Suite.goal`` is asked."""
    server: tuple[str, int] | None = None
    """Loopback address and port to which every request of the browser goes, whatever its host.
    Requests come as to a proxy (``GET http://shop.test/path``), which HTTP/1.1 servers accept; the
    server has to refuse hosts that are not its own. Nothing else can be reached."""
    hosts: tuple[str, ...] = ()
    """More hosts that pages may be opened from, as in ``("help.test",)``. Without ``server`` they
    are loopback hosts with ports, ``("127.0.0.1:8081",)``."""
    cookies: tuple[Mapping[str, Any], ...] = ()
    """Cookies set before the first page loads, in the form of Playwright's ``add_cookies``."""
    script: str = ""
    """JavaScript run once in the first page when it has loaded and before it is shown."""


@dataclass(frozen=True, slots=True)
class PageState:
    """The page that the agent sees."""

    url: str
    title: str
    text: str
    """The observation: indexed text, clipped where it is long."""
    probe: Any = None
    """What the suite's ``probe`` returned in the page, as JSON-able data."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a turn is worth."""

    reward: float = 0.0
    """1.0 or more counts as success."""
    terminated: bool = False
    text: str = ""
    """Added to the observation, for instance to tell how the task ended."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """Added to the turn's ``info``; comparable values only, no times of the wall clock."""


class Suite(ABC):
    """A family of tasks in one or more web pages, with its own server if it needs one.

    An environment makes a suite of its own and calls it from one thread at a time; the
    constructor starts nothing. A failure of the suite's own machinery, such as a dead server, is
    an ``InfraError``: it costs one truncated episode, and the next ``begin`` or ``load`` has to
    start afresh.

    Task ids are ``<template>#<seed>``: a template and the instance of it that a seed draws. The
    same id must always give the same task.
    """

    name: ClassVar[str] = ""
    """Short name, part of snapshots."""
    tools: ClassVar[tuple[str, ...]] = ()
    """Which of ``goto``, ``back``, ``answer`` and ``submit`` the agent has besides the tools that
    act on the page; ``answer`` and ``submit`` end the episode."""
    viewport: ClassVar[tuple[int, int]] = (1280, 720)
    """Width and height of the page in CSS pixels."""
    probe: ClassVar[str] = "null"
    """JavaScript expression evaluated in the page after each action; ``PageState.probe`` has its
    value."""
    max_turns: ClassVar[int] = 30
    """Turns of an episode unless the environment is told otherwise."""

    @abstractmethod
    def templates(self) -> Sequence[str]:
        """Return the names that the tasks are drawn from; no ``#`` in them."""

    @abstractmethod
    def begin(self, template: str, seed: int) -> Start:
        """Set the server up for a task's beginning, starting it if needed.

        Raises:
            InfraError: The server cannot be started.
        """

    @abstractmethod
    def grade(self, page: PageState, answer: str | None) -> Verdict:
        """Judge the state after a turn.

        Args:
            page: The page after the action.
            answer: What the agent answered (``""`` for ``submit``), ``None`` before that. An
                answer ends the episode whatever ``terminated`` says.
        """

    def grade_unfinished(self, page: PageState) -> Verdict:
        """Judge an episode that ran out of turns; it is worth nothing by default."""
        return Verdict()

    def goal(self, page: PageState) -> str:
        """Return the task in words as the first page tells it; for starts without a goal."""
        return ""

    def task_hash(self, template: str) -> str:
        """Return a SHA-256 that changes when the template's tasks change."""
        return sha256(template.encode())

    def save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        """Return the server's state: JSON-able data, and the blobs it names by their SHA-256.

        Browser, cookies and page are saved by the environment.
        """
        return {}, {}

    def load(
        self, template: str, seed: int, state: Mapping[str, Any], blobs: Mapping[str, bytes]
    ) -> Start:
        """Bring back what ``save`` returned, starting the server if needed.

        It is called before the page comes back, and once more after it, because pages may ask the
        server for something while they come back.

        Returns:
            What ``begin`` returned; the server may listen on another port now.

        Raises:
            SnapshotError: The state is damaged.
            InfraError: The server cannot be started.
        """
        return self.begin(template, seed)

    def digest(self) -> str:
        """Return a digest of the server's state; equal states have equal digests."""
        return ""

    def close(self) -> None:  # noqa: B027, not every suite has something to end
        """End what ``begin`` started; the suite can begin again."""
