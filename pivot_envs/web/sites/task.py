"""SiteTask, something to do on a site, and Outcome, what was done."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pivot_envs.web.sites.database import Change, Row, differences
from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.script import Step


@dataclass(frozen=True, slots=True)
class Outcome:
    """The databases before and after an episode, and the answer."""

    before: sqlite3.Connection
    after: sqlite3.Connection
    answer: str | None = None
    changes: tuple[Change, ...] = field(init=False)
    """Every row that differs; sessions and marks of reading aside."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "changes", differences(self.before, self.after))

    def touches_only(self, *tables: str) -> bool:
        """Tell whether no other table has changed."""
        return all(change.table in tables for change in self.changes)

    def added(self, table: str) -> list[Row]:
        """Return the rows that a table gained."""
        return [each.after for each in self._of(table) if not each.before and each.after]

    def removed(self, table: str) -> list[Row]:
        """Return the rows that a table lost."""
        return [each.before for each in self._of(table) if not each.after and each.before]

    def edits(self, table: str) -> dict[int, Row]:
        """Return the new values of the changed columns of rows that stayed, by the row's id."""
        found: dict[int, Row] = {}
        for change in self._of(table):
            columns = sorted(change.columns())
            if change.before and change.after and columns:
                found[change.id] = {name: change.after[name] for name in columns}
        return found

    def is_only(
        self,
        table: str,
        *,
        added: int = 0,
        removed: int = 0,
        edits: Mapping[int, Row] | None = None,
    ) -> bool:
        """Tell whether a table gained and lost this many rows and has exactly these edits."""
        return (
            len(self.added(table)) == added
            and len(self.removed(table)) == removed
            and self.edits(table) == (edits or {})
        )

    def answers(self, *accepted: str) -> bool:
        """Tell whether the answer is one of these, whatever its case, spaces and end marks."""
        return self.answer is not None and normal(self.answer) in map(normal, accepted)

    def _of(self, table: str) -> list[Change]:
        return [change for change in self.changes if change.table == table]


@dataclass(frozen=True, slots=True)
class SiteTask:
    """One instance of a template: what to do, and how it is judged."""

    goal: str
    accepts: Callable[[Outcome], bool]
    """Whether the goal is reached and nothing else was done."""
    solutions: tuple[Sequence[Step], ...]
    """Different ways to do it, each from the first page to the end."""
    user_id: int | None = None
    """Who is signed in at the beginning; ``None`` for nobody."""


Template = Callable[[sqlite3.Connection, Draw], SiteTask]
"""Makes an instance: reads the new world, prepares it where needed, draws the particulars."""


def normal(text: str) -> str:
    """Return text as answers are compared: lower case, single spaces, no end marks, no commas."""
    return " ".join(text.casefold().replace(",", "").split()).strip(" .!?\"'$")
