"""Tasks of the issue tracker."""

import sqlite3
from collections.abc import Mapping

from pivot_envs.web.sites.database import row, rows, value
from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.script import Choose, Click, Fill, Finish, Step, Tick, Visit
from pivot_envs.web.sites.task import Outcome, SiteTask, Template
from pivot_envs.web.sites.tracker.phrases import LABELS, PROJECTS
from pivot_envs.web.sites.tracker.questions import count, developers
from pivot_envs.web.sites.tracker.world import KINDS, PRIORITIES, ROLES, USER_ID

_TICKETS = """
SELECT ticket.*, project.key, project.name AS project FROM ticket
JOIN project ON project.id = project_id
"""


def triage(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Set a ticket's priority and give it a label."""
    ticket = draw.choice(rows(world, f"{_TICKETS} WHERE status = 'open' ORDER BY ticket.id"))
    held = _labels(world, ticket)
    label = draw.choice([each for each in LABELS if each not in held])
    priority = draw.choice([each for each in PRIORITIES if each != ticket["priority"]])
    goal = draw.choice(
        (
            f'Set the priority of the ticket "{ticket["title"]}" in {ticket["project"]} to '
            f"{priority} and give it the label {label} as well.",
            f'In {ticket["project"]}, "{ticket["title"]}" should have {priority} priority and, '
            f"besides its other labels, the label {label}.",
        )
    )
    label_id = LABELS.index(label) + 1
    steps = (Choose("Priority", priority), Tick(label), Click("Save changes"), Finish())

    def accepts(outcome: Outcome) -> bool:
        added = outcome.added("ticket_label")
        return (
            outcome.is_only("ticket", edits={ticket["id"]: {"priority": priority}})
            and outcome.is_only("ticket_label", added=1)
            and (added[0]["ticket_id"], added[0]["label_id"]) == (ticket["id"], label_id)
            and outcome.touches_only("ticket", "ticket_label")
        )

    return SiteTask(goal, accepts, _reach(ticket, steps), USER_ID)


def duplicate(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Close a ticket as a duplicate of another, and say so in a comment."""
    ticket = draw.choice(rows(world, f"{_TICKETS} WHERE status != 'closed' ORDER BY ticket.id"))
    query = f"{_TICKETS} WHERE project_id = ? AND ticket.id != ? ORDER BY ticket.id"
    other = draw.choice(rows(world, query, ticket["project_id"], ticket["id"]))
    own, text = f"{ticket['key']}-{ticket['number']}", f"Same as {other['key']}-{other['number']}."
    goal = draw.choice(
        (
            f'Close {own} as a duplicate, with the comment "{text}"',
            f'{own} is a duplicate: write the comment "{text}" there and close the ticket with '
            "the right resolution.",
        )
    )
    close = (Choose("Status", "closed"), Choose("Resolution", "duplicate"), Click("Save changes"))
    comment = (Fill("New comment", text), Click("Add comment"))

    def accepts(outcome: Outcome) -> bool:
        expected = {"ticket_id": ticket["id"], "author_id": USER_ID, "body": text}
        edits = {ticket["id"]: {"status": "closed", "resolution": "duplicate"}}
        return (
            outcome.is_only("ticket", edits=edits)
            and outcome.is_only("comment", added=1)
            and expected.items() <= outcome.added("comment")[0].items()
            and outcome.touches_only("ticket", "comment")
        )

    searched = (Click("Search all tickets"), Fill("Number or words of the title", own))
    return SiteTask(
        goal,
        accepts,
        (
            (*searched, Click("Search"), Click(ticket["title"]), *close, *comment, Finish()),
            (Visit(f"/{ticket['key']}/{ticket['number']}"), *comment, *close, Finish()),
        ),
        USER_ID,
    )


def report(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Write a new ticket, with all its fields."""
    project = draw.choice(rows(world, "SELECT * FROM project ORDER BY id"))
    part = draw.choice(PROJECTS[project["id"] - 1].parts)
    title = draw.choice(
        (
            f"{part} opens twice after a click",
            f"{part} has no help text",
            f"{part} is slow for new users",
            f"{part} should confirm before it deletes",
        )
    )
    developer = draw.choice(developers(world, project["id"]))
    wanted = {
        "project_id": project["id"],
        "title": title,
        "kind": draw.choice(KINDS),
        "priority": draw.choice(("low", "high", "urgent")),
        "assignee_id": developer["id"],
        "status": "open",
    }
    label = draw.choice(LABELS)
    goal = draw.choice(
        (
            f'Create a ticket in {project["name"]}: kind {wanted["kind"]}, title "{title}", '
            f"priority {wanted['priority']}, label {label}, assigned to {developer['name']}.",
            f'{developer["name"]} should look after "{title}". Write a new ticket with that title '
            f"in {project['name']}; it is a {wanted['kind']}, its priority is "
            f"{wanted['priority']}, its only label {label}.",
        )
    )
    steps = (
        Fill("Title", title),
        Choose("Kind", wanted["kind"]),
        Choose("Priority", wanted["priority"]),
        Choose("Assignee", developer["name"]),
        Tick(label),
        Click("Create ticket"),
        Finish(),
    )

    def accepts(outcome: Outcome) -> bool:
        tickets, labels = outcome.added("ticket"), outcome.added("ticket_label")
        return (
            outcome.is_only("ticket", added=1)
            and wanted.items() <= tickets[0].items()
            and outcome.is_only("ticket_label", added=1)
            and labels[0]["ticket_id"] == tickets[0]["id"]
            and labels[0]["label_id"] == LABELS.index(label) + 1
            and outcome.touches_only("ticket", "ticket_label")
        )

    return SiteTask(
        goal,
        accepts,
        (
            (Click(project["name"]), Click("New ticket"), *steps),
            (Visit(f"/{project['key']}/new"), *steps),
        ),
        USER_ID,
    )


def hand_over(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Give somebody's open tickets of a project to somebody else."""
    loads = rows(
        world,
        "SELECT project_id, assignee_id, count(*) AS count FROM ticket WHERE status != 'closed' "
        "AND assignee_id IS NOT NULL GROUP BY project_id, assignee_id HAVING count BETWEEN 2 AND 4 "
        "ORDER BY project_id, assignee_id",
    )
    load = draw.choice(loads)
    query = (
        f"{_TICKETS} WHERE project_id = ? AND assignee_id = ? AND status != 'closed' "
        "ORDER BY number DESC"
    )
    tickets = rows(world, query, load["project_id"], load["assignee_id"])
    project, old_name = tickets[0]["project"], _name(world, load["assignee_id"])
    others = developers(world, load["project_id"])
    new = draw.choice([each for each in others if each["id"] != load["assignee_id"]])
    goal = draw.choice(
        (
            f"{old_name} is leaving. Assign all tickets in {project} that {old_name} has and that "
            f"are not closed to {new['name']}.",
            f"Hand every ticket of {old_name} in {project} that is not closed over to "
            f"{new['name']}.",
        )
    )
    filtered = (
        Choose("Status", "not closed"),
        Choose("Assignee", old_name),
        Click("Apply filters"),
    )
    ticks: list[Step] = [Tick(f"Tick {each['key']}-{each['number']}") for each in tickets]
    together = (*ticks, Choose("New assignee", new["name"]), Click("Change tickets"))
    singly: list[Step] = []
    for each in tickets:
        singly += [Visit(f"/{each['key']}/{each['number']}"), Choose("Assignee", new["name"])]
        singly += [Click("Save changes")]
    edits = {each["id"]: {"assignee_id": new["id"]} for each in tickets}
    return SiteTask(
        goal,
        lambda outcome: outcome.is_only("ticket", edits=edits) and outcome.touches_only("ticket"),
        (
            (Click(project), *filtered, *together, Finish()),
            (Click(project), *filtered, *singly, Finish()),
        ),
        USER_ID,
    )


def role(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Sign in and give a member of a project another role."""
    project = draw.choice(rows(world, "SELECT * FROM project ORDER BY id"))
    query = (
        "SELECT member.*, user.name FROM member JOIN user ON user.id = user_id "
        "WHERE project_id = ? AND user_id != ? ORDER BY member.id"
    )
    member = draw.choice(rows(world, query, project["id"], USER_ID))
    wanted = draw.choice([each for each in ROLES if each != member["role"]])
    user = row(world, "SELECT * FROM user WHERE id = ?", USER_ID)
    assert user is not None
    login = f"Your user name is {user['username']}, your password {user['password']}."
    goal = draw.choice(
        (
            f"Make {member['name']} a {wanted} of the project {project['name']}.",
            f"Change the role of {member['name']} in {project['name']} to {wanted}.",
        )
    )
    signed_in = (
        Fill("User name", user["username"]),
        Fill("Password", user["password"]),
        Click("Sign in"),
    )
    change = (
        Choose(f"Role of {member['name']}", wanted),
        Click(f"Save role of {member['name']}"),
        Finish(),
    )
    return SiteTask(
        f"{goal} {login}",
        lambda outcome: (
            outcome.is_only("member", edits={member["id"]: {"role": wanted}})
            and outcome.touches_only("member")
        ),
        (
            (*signed_in, Click(project["name"]), Click("People"), *change),
            (*signed_in, Visit(f"/{project['key']}/people"), *change),
        ),
    )


def _reach(ticket: sqlite3.Row, steps: tuple[Step, ...]) -> tuple[tuple[Step, ...], ...]:
    """Return two ways to a ticket's page, each with the steps to do there."""
    search = (
        Click("Search all tickets"),
        Fill("Number or words of the title", ticket["title"]),
        Click("Search"),
    )
    listed = (Click(ticket["project"]), Choose("Status", "open"), Click("Apply filters"))
    # Titles are not the same in two projects, for each has parts of its own.
    return (
        (*search, Click(ticket["title"]), *steps),
        (*listed, Click(ticket["title"]), *steps),
    )


def _labels(world: sqlite3.Connection, ticket: sqlite3.Row) -> list[str]:
    query = "SELECT name FROM label JOIN ticket_label ON label_id = label.id WHERE ticket_id = ?"
    return [name for (name,) in rows(world, query, ticket["id"])]


def _name(world: sqlite3.Connection, user_id: int) -> str:
    return str(value(world, "SELECT name FROM user WHERE id = ?", user_id))


TEMPLATES: Mapping[str, Template] = {
    "triage": triage,
    "duplicate": duplicate,
    "report": report,
    "hand-over": hand_over,
    "count": count,
    "role": role,
}
