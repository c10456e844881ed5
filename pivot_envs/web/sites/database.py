"""The state of a site: one SQLite database in memory, as bytes, as a digest, and compared."""

import hashlib
import hmac
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pivot_envs.errors import SnapshotError

Row = Mapping[str, Any]

COMMON_SCHEMA = """
CREATE TABLE clock (id INTEGER PRIMARY KEY, now TEXT NOT NULL, secret TEXT NOT NULL);
CREATE TABLE session (
    id INTEGER PRIMARY KEY, token TEXT NOT NULL, user_id INTEGER NOT NULL,
    notice TEXT NOT NULL DEFAULT ''
);
"""
"""Tables that every site has: the date and time that it shows, and who is signed in."""

SESSION_COOKIE = "session"

# Signing in and out decides nothing, nor does looking at a message.
_UNGRADED_TABLES = frozenset({"session"})
_UNGRADED_COLUMNS = frozenset({"is_read"})


@dataclass(frozen=True, slots=True)
class Change:
    """One row that differs between two states of a database."""

    table: str
    id: int
    before: Row | None
    """``None`` for a row that was added."""
    after: Row | None
    """``None`` for a row that was removed."""

    def columns(self) -> frozenset[str]:
        """Return the names of the columns that differ; all of them if the row came or went."""
        if self.before is None or self.after is None:
            return frozenset(self.before or self.after or {})
        return frozenset(name for name in self.before if self.before[name] != self.after[name])


def open_database(content: bytes | None = None) -> sqlite3.Connection:
    """Return a database in memory, empty or with the content that ``serialize()`` gave.

    Raises:
        SnapshotError: The content is no SQLite database.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    if content is not None:
        try:
            connection.deserialize(content)
            connection.execute("SELECT count(*) FROM sqlite_schema")
        except sqlite3.DatabaseError as error:
            connection.close()
            raise SnapshotError(f"the site's database is damaged: {error}") from error
    return connection


def rows(connection: sqlite3.Connection, query: str, *values: Any) -> list[sqlite3.Row]:
    """Return all rows of a query."""
    return connection.execute(query, values).fetchall()


def row(connection: sqlite3.Connection, query: str, *values: Any) -> sqlite3.Row | None:
    """Return the first row of a query, or ``None``."""
    first: sqlite3.Row | None = connection.execute(query, values).fetchone()
    return first


def value(connection: sqlite3.Connection, query: str, *values: Any) -> Any:
    """Return the first column of the first row of a query, or ``None``."""
    first = connection.execute(query, values).fetchone()
    return None if first is None else first[0]


def insert(connection: sqlite3.Connection, table: str, **columns: Any) -> int:
    """Add a row and return its id."""
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    cursor = connection.execute(
        f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values())
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def open_session(connection: sqlite3.Connection, user_id: int) -> str:
    """Sign a user in and return the value of the session cookie."""
    secret = str(value(connection, "SELECT secret FROM clock"))
    number = value(connection, "SELECT coalesce(max(id), 0) + 1 FROM session")
    token = hmac.new(secret.encode(), str(number).encode(), hashlib.sha256).hexdigest()[:32]
    insert(connection, "session", token=token, user_id=user_id)
    return token


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the tables."""
    found = rows(connection, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    return [name for (name,) in found]


def content_digest(connection: sqlite3.Connection) -> str:
    """Return the SHA-256 of all rows, however the pages of the file are laid out."""
    digest = hashlib.sha256()
    for table in tables(connection):
        content = [tuple(each) for each in rows(connection, f"SELECT * FROM {table} ORDER BY id")]
        digest.update(f"{table}{content!r}".encode())
    return digest.hexdigest()


def differences(before: sqlite3.Connection, after: sqlite3.Connection) -> tuple[Change, ...]:
    """Return every row that was added, removed or changed; sessions and marks of reading aside."""
    found = []
    for table in tables(before):
        if table in _UNGRADED_TABLES:
            continue
        old, new = _by_id(before, table), _by_id(after, table)
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                found.append(Change(table, key, old.get(key), new.get(key)))
    return tuple(found)


def _by_id(connection: sqlite3.Connection, table: str) -> dict[int, Row]:
    return {
        each["id"]: {name: each[name] for name in each.keys() if name not in _UNGRADED_COLUMNS}  # noqa: SIM118
        for each in rows(connection, f"SELECT * FROM {table}")
    }
