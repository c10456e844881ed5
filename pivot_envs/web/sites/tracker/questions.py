"""Tasks of the issue tracker that ask something."""

import sqlite3

from pivot_envs.web.sites.database import rows, value
from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.script import Choose, Click, Finish, Visit
from pivot_envs.web.sites.task import SiteTask
from pivot_envs.web.sites.tracker.world import USER_ID


def count(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Count the tickets that somebody has."""
    project = draw.choice(rows(world, "SELECT * FROM project ORDER BY id"))
    developer = draw.choice(developers(world, project["id"]))
    number = value(
        world,
        "SELECT count(*) FROM ticket WHERE project_id = ? AND assignee_id = ? "
        "AND status != 'closed'",
        project["id"],
        developer["id"],
    )
    goal = draw.choice(
        (
            f"How many tickets in {project['name']} that are not closed are assigned to "
            f"{developer['name']}? Answer with a number.",
            f"Count the tickets of {developer['name']} in {project['name']}, without the closed "
            "ones, and answer with the number.",
        )
    )
    filters = (
        Choose("Status", "not closed"),
        Choose("Assignee", developer["name"]),
        Click("Apply filters"),
    )
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    accepted = (str(number), *words[number : number + 1])
    path = f"/{project['key']}?status=unclosed&assignee={developer['id']}"
    return SiteTask(
        goal,
        lambda outcome: outcome.answers(*accepted) and outcome.touches_only(),
        (
            (Click(project["name"]), *filters, Finish(str(number))),
            (Visit(path), Finish(str(number))),
        ),
        USER_ID,
    )


def developers(world: sqlite3.Connection, project_id: int) -> list[sqlite3.Row]:
    """Return whom tickets of a project can be assigned to."""
    query = (
        "SELECT user.* FROM user JOIN member ON user_id = user.id "
        "WHERE project_id = ? AND role != 'viewer' ORDER BY user.id"
    )
    return rows(world, query, project_id)
