"""SitesSuite, the tasks on the shop, the issue tracker and the mailbox."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pivot_envs.errors import SnapshotError
from pivot_envs.snapshot import sha256
from pivot_envs.web.sites import mail, shop, tracker
from pivot_envs.web.sites.database import (
    SESSION_COOKIE,
    content_digest,
    open_database,
    open_session,
)
from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.process import SiteProcess
from pivot_envs.web.sites.task import Outcome, SiteTask
from pivot_envs.web.suite import PageState, Start, Suite, Verdict

_SITES = {"shop": shop, "tracker": tracker, "mail": mail}

WORLDS = 16
"""Different databases that each site has; a task's seed picks one and all particulars."""

TEMPLATES = tuple(f"{site}.{name}" for site in _SITES for name in _SITES[site].TEMPLATES)


@dataclass(frozen=True, slots=True)
class Instance:
    """A task and the database that it begins with."""

    site: str
    task: SiteTask
    content: bytes
    token: str
    """Session cookie; empty for nobody."""

    @property
    def origin(self) -> str:
        """The site's address, such as ``http://shop.sites.test``."""
        return f"http://{self.site}.sites.test"


class SitesSuite(Suite):
    """Tasks on three sites of several pages with state on a server of the environment's own.

    ``submit()`` ends a task, ``answer(text)`` one that asks something; a task that ran out of
    turns is judged as it stands. Reward: 1.0 if the database holds what the goal asks for and
    nothing else was changed (looking at things aside), else 0.0.
    """

    name = "sites"
    tools = ("goto", "back", "answer", "submit")
    max_turns = 30

    def __init__(self) -> None:
        """Create the suite; the server starts at the first ``begin``."""
        self._process = SiteProcess()
        self._instance: Instance | None = None

    @property
    def process(self) -> SiteProcess:
        """The server's process."""
        return self._process

    def templates(self) -> Sequence[str]:
        """Return the templates, such as ``shop.buy``."""
        return TEMPLATES

    def begin(self, template: str, seed: int) -> Start:
        """Serve a task's first database."""
        self._instance = make_instance(template, seed)
        self._process.load(self._instance.site, self._instance.content)
        return self._start()

    def grade(self, page: PageState, answer: str | None) -> Verdict:
        """Judge the database once the agent has ended the episode."""
        if answer is not None:
            return self._judge(answer)
        # To the page, a dead server is only an address that does not answer.
        self._process.check()
        return Verdict()

    def grade_unfinished(self, page: PageState) -> Verdict:
        """Judge the database as it stands."""
        return self._judge(None)

    def task_hash(self, template: str) -> str:
        """Return a hash of the template's first task, its database included."""
        return _template_hash(template)

    def save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        """Return the database."""
        content = self._process.save()
        return {"database": sha256(content)}, {sha256(content): content}

    def load(
        self, template: str, seed: int, state: Mapping[str, Any], blobs: Mapping[str, bytes]
    ) -> Start:
        """Serve a saved database."""
        content = blobs[state["database"]]
        if sha256(content) != state["database"]:
            raise SnapshotError("the database of the snapshot is damaged")
        open_database(content).close()
        self._instance = make_instance(template, seed)
        self._process.load(self._instance.site, content)
        return self._start()

    def digest(self) -> str:
        """Return a digest of all rows of the database."""
        return _digest(self._process.save())

    def close(self) -> None:
        """End the server."""
        self._process.close()

    def _start(self) -> Start:
        instance = self._running()
        url = f"{instance.origin}/"
        cookie = {"name": SESSION_COOKIE, "value": instance.token, "url": url, "httpOnly": True}
        return Start(
            url=url,
            goal=instance.task.goal,
            server=self._process.address,
            cookies=(cookie,) if instance.token else (),
        )

    def _judge(self, answer: str | None) -> Verdict:
        instance = self._running()
        after = self._process.save()
        with closing(open_database(instance.content)) as old, closing(open_database(after)) as new:
            is_solved = instance.task.accepts(Outcome(old, new, answer or None))
        return Verdict(1.0 if is_solved else 0.0, terminated=True)

    def _running(self) -> Instance:
        assert self._instance is not None, "begin or load comes first"
        return self._instance


@lru_cache(maxsize=256)
def make_instance(template: str, seed: int) -> Instance:
    """Return a task with its database; the same arguments give the same one.

    Raises:
        KeyError: There is no such template.
    """
    site, _, name = template.partition(".")
    world = open_database(_world(site, seed % WORLDS))
    task = _SITES[site].TEMPLATES[name](world, Draw(f"{template}#{seed}"))
    token = "" if task.user_id is None else open_session(world, task.user_id)
    return Instance(site, task, world.serialize(), token)


# Most actions change nothing, and reading all rows takes milliseconds.
@lru_cache(maxsize=8)
def _digest(content: bytes) -> str:
    with closing(open_database(content)) as database:
        return content_digest(database)


@lru_cache(maxsize=len(_SITES) * WORLDS)
def _world(site: str, number: int) -> bytes:
    world: sqlite3.Connection = _SITES[site].make_world(number)
    return world.serialize()


@lru_cache(maxsize=len(TEMPLATES))
def _template_hash(template: str) -> str:
    first = make_instance(template, 0)
    return sha256(f"{first.task.goal}\n{sha256(first.content)}".encode())
