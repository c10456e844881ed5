import pytest

from pivot_envs.errors import SnapshotError
from pivot_envs.web.sites.database import (
    COMMON_SCHEMA,
    content_digest,
    differences,
    insert,
    open_database,
    open_session,
)


def small_database(rows: int = 3):
    connection = open_database()
    connection.executescript(f"{COMMON_SCHEMA} CREATE TABLE thing (id INTEGER PRIMARY KEY, name)")
    insert(connection, "clock", now="2026-03-05 09:30", secret="maple-heron-41")
    for number in range(rows):
        insert(connection, "thing", name=f"thing {number}")
    return connection


def test_a_database_comes_back_from_its_bytes():
    content = small_database().serialize()
    assert open_database(content).serialize() == content


def test_bytes_that_are_no_database_are_refused():
    with pytest.raises(SnapshotError, match="damaged"):
        open_database(b"x" * 8192)


def test_equal_rows_have_equal_digests_however_they_came_about():
    direct, detour = small_database(), small_database(4)
    assert content_digest(direct) != content_digest(detour)
    detour.execute("DELETE FROM thing WHERE id = 4")
    assert content_digest(direct) == content_digest(detour)
    assert direct.serialize() != b""


def test_differences_name_rows_that_came_went_and_changed():
    before, after = small_database(), small_database()
    after.execute("DELETE FROM thing WHERE id = 1")
    after.execute("UPDATE thing SET name = 'new' WHERE id = 2")
    insert(after, "thing", name="more")
    gone, changed, added = differences(before, after)
    assert (gone.id, gone.after, added.id, added.before) == (1, None, 4, None)
    assert (changed.id, changed.columns()) == (2, {"name"})
    assert changed.after is not None
    assert changed.after["name"] == "new"


def test_signing_in_is_no_difference():
    before, after = small_database(), small_database()
    open_session(after, 1)
    assert differences(before, after) == ()


def test_session_tokens_follow_from_the_database():
    first, second = small_database(), small_database()
    tokens = [open_session(first, 1), open_session(first, 1)]
    assert tokens == [open_session(second, 1), open_session(second, 1)]
    assert tokens[0] != tokens[1]
