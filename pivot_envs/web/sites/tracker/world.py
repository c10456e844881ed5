"""The issue tracker's database: its tables and what they are filled with."""

import sqlite3
from datetime import datetime, timedelta

from pivot_envs.web.sites.database import COMMON_SCHEMA, insert, open_database
from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.people import draw_password, draw_people
from pivot_envs.web.sites.tracker.phrases import (
    BODIES,
    CHORES,
    CIRCUMSTANCES,
    COMMENTS,
    LABELS,
    PROBLEMS,
    PROJECTS,
    WISHES,
    ProjectKind,
)

SCHEMA = f"""
{COMMON_SCHEMA}
CREATE TABLE user (
    id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    password TEXT NOT NULL
);
CREATE TABLE project (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    description TEXT NOT NULL
);
CREATE TABLE member (
    id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL REFERENCES project,
    user_id INTEGER NOT NULL REFERENCES user,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'maintainer')),
    UNIQUE (project_id, user_id)
);
CREATE TABLE label (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE ticket (
    id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL REFERENCES project,
    number INTEGER NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('bug', 'feature', 'task')),
    status TEXT NOT NULL CHECK (status IN ('open', 'in progress', 'closed')),
    resolution TEXT NOT NULL DEFAULT ''
        CHECK (resolution IN ('', 'fixed', 'duplicate', 'won''t fix')),
    priority TEXT NOT NULL CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    reporter_id INTEGER NOT NULL REFERENCES user, assignee_id INTEGER REFERENCES user,
    created_at TEXT NOT NULL, UNIQUE (project_id, number)
);
CREATE TABLE ticket_label (
    id INTEGER PRIMARY KEY, ticket_id INTEGER NOT NULL REFERENCES ticket,
    label_id INTEGER NOT NULL REFERENCES label, UNIQUE (ticket_id, label_id)
);
CREATE TABLE comment (
    id INTEGER PRIMARY KEY, ticket_id INTEGER NOT NULL REFERENCES ticket,
    author_id INTEGER NOT NULL REFERENCES user, body TEXT NOT NULL, created_at TEXT NOT NULL
);
"""

KINDS = ("bug", "feature", "task")
STATUSES = ("open", "in progress", "closed")
RESOLUTIONS = ("fixed", "duplicate", "won't fix")
PRIORITIES = ("low", "normal", "high", "urgent")
ROLES = ("viewer", "developer", "maintainer")

USER_ID = 1
"""The user that tasks are about; maintains every project."""

_PEOPLE = 14
_TICKETS = 34


def make_world(seed: int) -> sqlite3.Connection:
    """Return a new issue tracker; the same seed gives the same one."""
    draw = Draw(f"tracker-{seed}")
    world = open_database()
    world.executescript(SCHEMA)
    world.execute("BEGIN")
    today = datetime(2026, 2, 2, 10, 15) + timedelta(days=draw.integer(0, 260))
    insert(world, "clock", now=f"{today:%Y-%m-%d %H:%M}", secret=draw_password(draw))
    for person in draw_people(draw, _PEOPLE):
        insert(world, "user", username=person.username, name=person.name, password=person.password)
    for name in LABELS:
        insert(world, "label", name=name)
    for kind in PROJECTS:
        _add_project(world, draw, kind, today)
    world.execute("COMMIT")
    return world


def _add_project(world: sqlite3.Connection, draw: Draw, kind: ProjectKind, today: datetime) -> None:
    project_id = insert(
        world, "project", key=kind.key, name=kind.name, description=kind.description
    )
    others = draw.sample(range(USER_ID + 1, _PEOPLE + 1), 8)
    roles = ["maintainer", *["developer"] * 5, "viewer", "viewer"]
    members = {USER_ID: "maintainer"} | dict(zip(others, roles, strict=True))
    for user_id in sorted(members):
        insert(world, "member", project_id=project_id, user_id=user_id, role=members[user_id])
    developers = sorted(each for each, role in members.items() if role != "viewer")
    titles = _draw_titles(draw, kind)
    moments = sorted(today - timedelta(minutes=draw.integer(90, 150_000)) for _ in titles)
    for number, ((ticket_kind, title), moment) in enumerate(
        zip(titles, moments, strict=True), start=101
    ):
        ticket_id = _add_ticket(
            world,
            draw,
            developers,
            project_id=project_id,
            number=number,
            title=title,
            kind=ticket_kind,
            body=draw.choice(BODIES[ticket_kind]),
            reporter_id=draw.choice(sorted(members)),
            created_at=f"{moment:%Y-%m-%d %H:%M}",
        )
        _add_talk(world, draw, ticket_id, sorted(members), moment, today)


def _draw_titles(draw: Draw, kind: ProjectKind) -> list[tuple[str, str]]:
    """Return kinds and different titles of tickets."""
    bugs = [
        ("bug", f"{part} {problem} {circumstance}")
        for part in kind.parts
        for problem, circumstance in zip(
            draw.sample(PROBLEMS, 4), draw.sample(CIRCUMSTANCES, 4), strict=True
        )
    ]
    wishes = [("feature", wish.format(part=part)) for part in kind.parts for wish in WISHES]
    chores = [("task", chore.format(part=part)) for part in kind.parts for chore in CHORES]
    chosen = [*draw.sample(bugs, _TICKETS - 14), *draw.sample(wishes, 8), *draw.sample(chores, 6)]
    return draw.shuffled(chosen)


def _add_ticket(
    world: sqlite3.Connection, draw: Draw, developers: list[int], **columns: object
) -> int:
    status = draw.choice(("open", "open", "open", "in progress", "closed"))
    assignee = None if status == "open" and draw.chance(0.4) else draw.choice(developers)
    return insert(
        world,
        "ticket",
        status=status,
        resolution=draw.choice(RESOLUTIONS) if status == "closed" else "",
        priority=draw.choice(("low", "normal", "normal", "normal", "high", "urgent")),
        assignee_id=assignee,
        **columns,
    )


def _add_talk(
    world: sqlite3.Connection,
    draw: Draw,
    ticket_id: int,
    members: list[int],
    moment: datetime,
    today: datetime,
) -> None:
    label_ids = draw.sample(range(1, len(LABELS) + 1), draw.choice((0, 0, 1, 1, 2)))
    for label_id in sorted(label_ids):
        insert(world, "ticket_label", ticket_id=ticket_id, label_id=label_id)
    for body in draw.sample(COMMENTS, draw.choice((0, 1, 1, 2, 3))):
        moment = min(moment + timedelta(minutes=draw.integer(20, 4000)), today)
        insert(
            world,
            "comment",
            ticket_id=ticket_id,
            author_id=draw.choice(members),
            body=body,
            created_at=f"{moment:%Y-%m-%d %H:%M}",
        )
