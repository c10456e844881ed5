"""The issue tracker's pages: projects, lists of tickets, tickets and their comments."""

import sqlite3
from typing import Any

from flask import Blueprint, abort, render_template, request

from pivot_envs.web.sites.app import (
    back_to,
    database,
    found,
    like,
    notify,
    now,
    paged,
    signed_in,
    user_id,
)
from pivot_envs.web.sites.database import insert, row, rows, value
from pivot_envs.web.sites.tracker.people import developers, own_role, people, project_of
from pivot_envs.web.sites.tracker.world import KINDS, PRIORITIES, RESOLUTIONS, STATUSES

views = Blueprint("tracker", __name__)
views.register_blueprint(people)

PAGE_SIZE = 12

_RANKS = "CASE priority WHEN 'urgent' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 ELSE 3 END"
_SORTS = {
    "newest": "ticket.number DESC",
    "oldest": "ticket.number",
    "priority": f"{_RANKS}, ticket.number DESC",
}

_TICKETS = """
SELECT ticket.*, project.key, assignee.name AS assignee, reporter.name AS reporter,
    (SELECT group_concat(name, ', ') FROM (SELECT name FROM label JOIN ticket_label
        ON label_id = label.id WHERE ticket_id = ticket.id ORDER BY name)) AS labels,
    (SELECT count(*) FROM comment WHERE ticket_id = ticket.id) AS comments
FROM ticket JOIN project ON project.id = project_id
JOIN user AS reporter ON reporter.id = reporter_id
LEFT JOIN user AS assignee ON assignee.id = assignee_id
"""


@views.get("/")
@signed_in
def home() -> Any:
    """List the projects and what is assigned to the user."""
    projects = rows(
        database(),
        "SELECT project.*, sum(status != 'closed') AS open FROM project "
        "JOIN ticket ON project_id = project.id GROUP BY project.id ORDER BY project.id",
    )
    mine = rows(
        database(),
        f"{_TICKETS} WHERE assignee_id = ? AND status != 'closed' "
        f"ORDER BY {_RANKS}, project.key, number LIMIT {PAGE_SIZE}",
        user_id(),
    )
    return render_template("tracker/home.html", projects=projects, mine=mine)


@views.get("/search")
@signed_in
def search() -> Any:
    """Search the tickets of all projects."""
    conditions, values = _filters()
    query = f"{_TICKETS} WHERE {' AND '.join(conditions)} ORDER BY project.key, number"
    return render_template("tracker/search.html", page=paged(query, values, PAGE_SIZE))


@views.get("/<key>")
@signed_in
def tickets(key: str) -> Any:
    """List a project's tickets, filtered and sorted."""
    project = project_of(key)
    conditions, values = _filters()
    order = _SORTS.get(request.args.get("sort", ""), _SORTS["newest"])
    query = f"{_TICKETS} WHERE project_id = ? AND {' AND '.join(conditions)} ORDER BY {order}"
    return render_template(
        "tracker/tickets.html",
        project=project,
        page=paged(query, [project["id"], *values], PAGE_SIZE),
        developers=developers(project["id"]),
        labels=_labels(),
        role=own_role(project["id"]),
        statuses=STATUSES,
        priorities=PRIORITIES,
    )


def _filters() -> tuple[list[str], list[Any]]:
    """Return the conditions that the address asks for, and their values."""
    asked = request.args
    conditions: list[str] = ["1"]
    values: list[Any] = []
    for word in asked.get("q", "").split()[:8]:
        conditions.append("key || '-' || number || ' ' || title LIKE ? ESCAPE '!'")
        values.append(like(word))
    for column in ("status", "priority", "kind"):
        if asked.get(column) == "unclosed":
            conditions.append("status != 'closed'")
        elif asked.get(column):
            conditions.append(f"{column} = ?")
            values.append(asked[column])
    if asked.get("assignee") == "none":
        conditions.append("assignee_id IS NULL")
    elif asked.get("assignee", "").isdigit():
        conditions.append("assignee_id = ?")
        values.append(int(asked["assignee"][:9]))
    if asked.get("label"):
        conditions.append(
            "EXISTS (SELECT * FROM ticket_label JOIN label ON label.id = label_id "
            "WHERE ticket_id = ticket.id AND label.name = ?)"
        )
        values.append(asked["label"])
    return conditions, values


def _labels() -> list[sqlite3.Row]:
    return rows(database(), "SELECT * FROM label ORDER BY name")


@views.post("/<key>/bulk")
@signed_in
def change_many(key: str) -> Any:
    """Change assignee or status of all ticked tickets."""
    project = project_of(key)
    _require_developer(project["id"])
    chosen = [int(each) for each in request.form.getlist("ticket") if each.isdigit()][:100]
    assignee = request.form.get("assignee", "")
    status = request.form.get("status", "")
    allowed = {str(each["id"]) for each in developers(project["id"])} | {"", "none"}
    if not chosen or assignee not in allowed or status not in ("", *STATUSES):
        notify("Nothing was changed: tick tickets and choose what to change.")
        return back_to("tracker.tickets", key=key, **request.args)
    for number in chosen:
        ticket = _ticket(key, number)
        if assignee:
            _set(ticket, assignee_id=None if assignee == "none" else int(assignee))
        if status:
            resolution = ticket["resolution"] or "fixed"
            _set(ticket, status=status, resolution=resolution if status == "closed" else "")
    notify(f"{len(chosen)} ticket{'' if len(chosen) == 1 else 's'} changed.")
    return back_to("tracker.tickets", key=key, **request.args)


@views.route("/<key>/new", methods=["GET", "POST"])
@signed_in
def new_ticket(key: str) -> Any:
    """Write a new ticket."""
    project = project_of(key)
    form = request.form
    title = " ".join(form.get("title", "").split())[:120]
    chosen = form.get("kind"), form.get("priority")
    error = ""
    if request.method == "POST":
        if title and chosen[0] in KINDS and chosen[1] in PRIORITIES:
            number = _add(project["id"], title)
            notify(f"{key}-{number} was created.")
            return back_to("tracker.ticket", key=key, number=number)
        error = "A ticket needs a title, a kind and a priority."
    return render_template(
        "tracker/new.html",
        project=project,
        title=title,
        error=error,
        developers=developers(project["id"]),
        labels=_labels(),
        kinds=KINDS,
        priorities=PRIORITIES,
    )


def _add(project_id: int, title: str) -> int:
    number: int = value(
        database(), "SELECT max(number) + 1 FROM ticket WHERE project_id = ?", project_id
    )
    ticket_id = insert(
        database(),
        "ticket",
        project_id=project_id,
        number=number,
        title=title,
        body=_text("body"),
        kind=request.form["kind"],
        status="open",
        priority=request.form["priority"],
        reporter_id=user_id(),
        assignee_id=_assignee(project_id),
        created_at=now(),
    )
    _set_labels(ticket_id)
    return number


@views.get("/<key>/<int:number>")
@signed_in
def ticket(key: str, number: int) -> Any:
    """Show a ticket with its comments."""
    project, item = project_of(key), _ticket(key, number)
    comments = rows(
        database(),
        "SELECT comment.*, user.name AS author FROM comment JOIN user ON user.id = author_id "
        "WHERE ticket_id = ? ORDER BY comment.id",
        item["id"],
    )
    return render_template(
        "tracker/ticket.html",
        project=project,
        ticket=item,
        comments=comments,
        role=own_role(project["id"]),
        developers=developers(project["id"]),
        labels=_labels(),
        own_labels=(item["labels"] or "").split(", "),
        statuses=STATUSES,
        resolutions=RESOLUTIONS,
        priorities=PRIORITIES,
    )


@views.post("/<key>/<int:number>")
@signed_in
def change_ticket(key: str, number: int) -> Any:
    """Change the fields of a ticket."""
    item = _ticket(key, number)
    _require_developer(item["project_id"])
    status, resolution = request.form.get("status", ""), request.form.get("resolution", "")
    priority = request.form.get("priority", "")
    if status not in STATUSES or priority not in PRIORITIES:
        abort(400)
    if resolution not in ("", *RESOLUTIONS):
        abort(400)
    if (status == "closed") != (resolution != ""):
        notify("Not saved: a closed ticket has a resolution, and no other ticket has one.")
        return back_to("tracker.ticket", key=key, number=number)
    assignee = _assignee(item["project_id"])
    _set(item, status=status, resolution=resolution, priority=priority, assignee_id=assignee)
    _set_labels(item["id"])
    notify(f"{key}-{number} was saved.")
    return back_to("tracker.ticket", key=key, number=number)


@views.post("/<key>/<int:number>/comment")
@signed_in
def add_comment(key: str, number: int) -> Any:
    """Write a comment, and close the ticket if that button was used."""
    item = _ticket(key, number)
    body = _text("comment")
    if not body:
        notify("Not saved: the comment is empty.")
        return back_to("tracker.ticket", key=key, number=number)
    columns = {"ticket_id": item["id"], "author_id": user_id(), "body": body, "created_at": now()}
    insert(database(), "comment", **columns)
    if "close" in request.form:
        _require_developer(item["project_id"])
        _set(item, status="closed", resolution=item["resolution"] or "fixed")
    notify("Your comment was added.")
    return back_to("tracker.ticket", key=key, number=number)


def _ticket(key: str, number: int) -> sqlite3.Row:
    return found(row(database(), f"{_TICKETS} WHERE key = ? AND number = ?", key, number))


def _require_developer(project_id: int) -> None:
    if own_role(project_id) not in ("developer", "maintainer"):
        abort(403)


def _text(name: str) -> str:
    return request.form.get(name, "").replace("\r\n", "\n").strip()[:4000]


def _assignee(project_id: int) -> int | None:
    chosen = request.form.get("assignee", "")
    known = (each["id"] for each in developers(project_id))
    return next((each for each in known if str(each) == chosen), None)


def _set(item: sqlite3.Row, **columns: Any) -> None:
    names = ", ".join(f"{name} = ?" for name in columns)
    database().execute(f"UPDATE ticket SET {names} WHERE id = ?", (*columns.values(), item["id"]))


def _set_labels(ticket_id: int) -> None:
    wanted = set(request.form.getlist("label"))
    for label in _labels():
        held = row(
            database(),
            "SELECT * FROM ticket_label WHERE ticket_id = ? AND label_id = ?",
            ticket_id,
            label["id"],
        )
        if label["name"] in wanted and held is None:
            insert(database(), "ticket_label", ticket_id=ticket_id, label_id=label["id"])
        elif label["name"] not in wanted and held is not None:
            database().execute("DELETE FROM ticket_label WHERE id = ?", (held["id"],))
