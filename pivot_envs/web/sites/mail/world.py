"""The mailbox's database: its tables and what they are filled with."""

import sqlite3
from datetime import datetime, timedelta

from pivot_envs.web.sites.database import COMMON_SCHEMA, insert, open_database, rows
from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.mail.letters import booking, invoice, newsletter, note, parcel
from pivot_envs.web.sites.people import draw_password, draw_people

SCHEMA = f"""
{COMMON_SCHEMA}
CREATE TABLE user (
    id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    password TEXT NOT NULL, address TEXT NOT NULL
);
CREATE TABLE folder (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE message (
    id INTEGER PRIMARY KEY, folder_id INTEGER NOT NULL REFERENCES folder,
    sender_name TEXT NOT NULL, sender_address TEXT NOT NULL, recipients TEXT NOT NULL,
    subject TEXT NOT NULL, body TEXT NOT NULL, sent_at TEXT NOT NULL,
    is_read INTEGER NOT NULL DEFAULT 0, is_starred INTEGER NOT NULL DEFAULT 0,
    reply_to_id INTEGER, forward_of_id INTEGER
);
CREATE TABLE contact (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL, phone TEXT NOT NULL,
    company TEXT NOT NULL
);
CREATE INDEX message_folder ON message (folder_id);
"""

INBOX, SENT, DRAFTS, ARCHIVE, TRASH = range(1, 6)
"""Ids of the folders that every mailbox has; people make more."""

SYSTEM_FOLDERS = ("Inbox", "Sent", "Drafts", "Archive", "Trash")
OWN_FOLDERS = ("Bills", "Family", "Travel")

USER_ID = 1
"""The mailbox's owner."""

_COWORKERS = 16
_MESSAGES = 150
_EMPLOYERS = ("Larkfield Studio", "Mosaic Foods", "Tern & Partners", "Westbrook Council")


def make_world(seed: int) -> sqlite3.Connection:
    """Return a new mailbox; the same seed gives the same one."""
    draw = Draw(f"mail-{seed}")
    world = open_database()
    world.executescript(SCHEMA)
    world.execute("BEGIN")
    now = datetime(2026, 2, 9, 8, 45) + timedelta(days=draw.integer(0, 270))
    insert(world, "clock", now=f"{now:%Y-%m-%d %H:%M}", secret=draw_password(draw))
    owner, *others = draw_people(draw, _COWORKERS + 1)
    insert(
        world,
        "user",
        username=owner.username,
        name=owner.name,
        password=owner.password,
        address=f"{owner.username}@postbox.example",
    )
    for name in (*SYSTEM_FOLDERS, *OWN_FOLDERS):
        insert(world, "folder", name=name)
    for other in others:
        company = draw.choice(_EMPLOYERS)
        domain = "".join(each for each in company.lower() if each.isalpha())
        insert(
            world,
            "contact",
            name=other.name,
            address=f"{other.username}@{domain}.example",
            phone=f"0{draw.integer(20, 89)} {draw.integer(100, 999)} {draw.integer(1000, 9999)}",
            company=company,
        )
    _add_messages(world, draw, now)
    world.execute("COMMIT")
    return world


def _add_messages(world: sqlite3.Connection, draw: Draw, now: datetime) -> None:
    owner = rows(world, "SELECT * FROM user")[0]
    contacts = rows(world, "SELECT * FROM contact ORDER BY id")
    moments = sorted(
        (now - timedelta(days=draw.integer(1, 62))).replace(
            hour=draw.integer(7, 21), minute=draw.integer(0, 59)
        )
        for _ in range(_MESSAGES)
    )
    for moment in moments:
        folder = draw.choice((INBOX, INBOX, INBOX, ARCHIVE, SENT))
        if folder == SENT:
            contact = draw.choice(contacts)
            letter = note(draw, moment, owner["name"], owner["address"])
            recipients = contact["address"]
        else:
            letter = _draw_letter(draw, moment, contacts)
            recipients = owner["address"]
        insert(
            world,
            "message",
            folder_id=folder,
            recipients=recipients,
            sent_at=f"{moment:%Y-%m-%d %H:%M}",
            is_read=int(folder != INBOX or (now - moment).days > 3 or draw.chance(0.5)),
            is_starred=int(draw.chance(0.06)),
            **letter,
        )


def _draw_letter(draw: Draw, moment: datetime, contacts: list[sqlite3.Row]) -> dict[str, str]:
    kind = draw.choice(("invoice", "booking", "parcel", "newsletter", "note", "note", "note"))
    if kind == "note":
        contact = draw.choice(contacts)
        return note(draw, moment, contact["name"], contact["address"])
    makers = {"invoice": invoice, "booking": booking, "parcel": parcel, "newsletter": newsletter}
    return makers[kind](draw, moment)
