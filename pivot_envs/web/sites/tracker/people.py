"""The issue tracker's pages on who works on a project, and in which role."""

import sqlite3
from typing import Any

from flask import Blueprint, abort, render_template, request

from pivot_envs.web.sites.app import (
    back_to,
    database,
    found,
    notify,
    signed_in,
    user_id,
    whole_number,
)
from pivot_envs.web.sites.database import insert, row, rows, value
from pivot_envs.web.sites.tracker.world import ROLES

people = Blueprint("people", __name__)

_MEMBERS = """
SELECT member.*, user.name FROM member JOIN user ON user.id = user_id
WHERE project_id = ? ORDER BY user.name
"""


def project_of(key: str) -> sqlite3.Row:
    """Return the project with this key, or answer with 404."""
    return found(row(database(), "SELECT * FROM project WHERE key = ?", key))


def own_role(project_id: int) -> str:
    """Return the role of who is signed in; empty for none."""
    query = "SELECT role FROM member WHERE project_id = ? AND user_id = ?"
    return value(database(), query, project_id, user_id()) or ""


def developers(project_id: int) -> list[sqlite3.Row]:
    """Return the users whom tickets of the project can be assigned to."""
    return rows(
        database(),
        "SELECT user.* FROM user JOIN member ON user_id = user.id "
        "WHERE project_id = ? AND role != 'viewer' ORDER BY user.name",
        project_id,
    )


@people.get("/<key>/people")
@signed_in
def members(key: str) -> Any:
    """List who works on a project."""
    project = project_of(key)
    own = rows(database(), _MEMBERS, project["id"])
    others = rows(
        database(),
        "SELECT * FROM user WHERE id NOT IN (SELECT user_id FROM member WHERE project_id = ?) "
        "ORDER BY name",
        project["id"],
    )
    return render_template(
        "tracker/people.html",
        project=project,
        members=own,
        others=others,
        roles=ROLES,
        role=own_role(project["id"]),
    )


@people.post("/<key>/people")
@signed_in
def add_member(key: str) -> Any:
    """Let somebody into a project."""
    project = _maintained(key)
    other = whole_number("user", 1, 10**9)
    user = found(row(database(), "SELECT * FROM user WHERE id = ?", other))
    role = request.form.get("role", "")
    query = "SELECT * FROM member WHERE project_id = ? AND user_id = ?"
    if role not in ROLES or row(database(), query, project["id"], user["id"]) is not None:
        abort(400)
    insert(database(), "member", project_id=project["id"], user_id=user["id"], role=role)
    notify(f"{user['name']} was added as {role}.")
    return back_to("tracker.people.members", key=key)


@people.post("/<key>/people/<int:member_id>")
@signed_in
def change_member(key: str, member_id: int) -> Any:
    """Change somebody's role, or remove them."""
    project = _maintained(key)
    own = rows(database(), _MEMBERS, project["id"])
    member = found(next((each for each in own if each["id"] == member_id), None))
    role = request.form.get("role", "")
    if "remove" in request.form:
        database().execute("DELETE FROM member WHERE id = ?", (member_id,))
        notify(f"{member['name']} was removed.")
    elif role in ROLES:
        database().execute("UPDATE member SET role = ? WHERE id = ?", (role, member_id))
        notify(f"{member['name']} is now {role}.")
    else:
        abort(400)
    return back_to("tracker.people.members", key=key)


def _maintained(key: str) -> sqlite3.Row:
    project = project_of(key)
    if own_role(project["id"]) != "maintainer":
        abort(403)
    return project
