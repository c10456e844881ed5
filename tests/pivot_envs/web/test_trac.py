"""Trac, the issue tracker, as a foreign site: what a user writes to have tasks on it."""

import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from pivot_envs.web.env import WebEnv
from pivot_envs.web.foreign import ForeignSite
from pivot_envs.web.sites.script import Choose, Click, Fill, Finish, Script, Step

PROGRAMS = Path(sys.prefix) / "trac" / "bin"
"""Where ``make trac`` installs Trac, apart from this project's packages."""

_SUMMARIES = (
    "The printer on the second floor is out of toner",
    "Please add a wiki page about holidays",
    "The meeting room's door does not lock",
    "New keyboards for the support team",
)
_COMPONENTS = ("component1", "component2")


class TracSite(ForeignSite):
    """Write a ticket with a given summary for a given component."""

    name = "trac"
    host = "trac.test"
    not_state = ("log/*",)

    def templates(self) -> Sequence[str]:
        return ("new-ticket",)

    def create(self, folder: Path) -> None:
        program = PROGRAMS / "trac-admin"
        project = folder / "project"
        subprocess.run(
            [program, project, "initenv", "Office", "sqlite:db/trac.db"],
            check=True,
            capture_output=True,
        )
        settings = project / "conf" / "trac.ini"
        # "3 seconds ago" would be another text at every look.
        text = settings.read_text().replace(
            "default_dateinfo_format = relative", "default_dateinfo_format = absolute"
        )
        settings.write_text(text)
        with closing(sqlite3.connect(project / "db" / "trac.db")) as database, database:
            for right in ("TICKET_CREATE", "TICKET_MODIFY"):
                database.execute("INSERT INTO permission VALUES ('anonymous', ?)", (right,))

    def command(self, folder: Path, port: int) -> Sequence[str]:
        options = ["--single-env", "--hostname=127.0.0.1", f"--port={port}"]
        return [str(PROGRAMS / "tracd"), *options, str(folder / "project")]

    def task(self, template: str, seed: int, folder: Path) -> str:
        summary, component = self._wanted(seed)
        return f'Create a ticket with the summary "{summary}" for {component}.'

    def accepts(self, template: str, seed: int, folder: Path, answer: str) -> bool:
        with closing(sqlite3.connect(folder / "project" / "db" / "trac.db")) as database:
            tickets = database.execute("SELECT summary, component FROM ticket").fetchall()
        return tickets == [self._wanted(seed)]

    def path(self, template: str, seed: int) -> str:
        return "/wiki"

    @staticmethod
    def _wanted(seed: int) -> tuple[str, str]:
        generator = random.Random(seed)
        summary = _SUMMARIES[int(generator.random() * len(_SUMMARIES))]
        return summary, _COMPONENTS[int(generator.random() * len(_COMPONENTS))]


def follow(env: WebEnv, observation: str, steps: Sequence[Step]) -> tuple[str, float]:
    """Take steps; return the last observation and reward."""
    script, reward = Script(steps, "http://trac.test"), 0.0
    for _ in steps:
        action = script.next_call(observation).as_text()
        observation, reward, _, _, info = env.step(action)
        assert (info["action_error"], info["infra_error"]) == (None, None)
    return observation, reward


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not (PROGRAMS / "tracd").exists(), reason=f"no Trac in {PROGRAMS}: make trac installs it"
)
def test_trac_is_saved_in_the_middle_of_a_ticket_and_resumed(
    make_env: Callable[..., WebEnv],
) -> None:
    first, second = make_env(suite=TracSite), make_env(suite=TracSite)
    observation, _ = first.reset(options={"task_id": "new-ticket#3"})
    summary = observation.split('"')[1]
    component = observation.partition(" for ")[2].partition(".")[0]
    begun = [Click("New Ticket"), Fill("Summary:", summary), Choose("Component:", component)]
    follow(first, observation, begun)
    snapshot, digest = first.snapshot(), first.effect().state_digest
    observation, _ = second.reset(options={"snapshot": snapshot})
    assert f'"Component:" value="{component}"' in observation
    assert second.effect().state_digest == digest
    observation, _ = follow(second, observation, [Click("Create ticket")])
    assert f"page: #1 ({summary})" in observation
    assert follow(second, observation, [Finish()])[1] == 1.0
    assert follow(first, first.messages[-1].content, [Finish()])[1] == 0.0
