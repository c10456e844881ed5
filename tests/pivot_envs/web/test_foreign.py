import http.client
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from pivot_envs.errors import SnapshotError
from pivot_envs.web.env import WebEnv
from pivot_envs.web.foreign import ForeignSite
from pivot_envs.web.sites.script import Click, Fill, Finish, Script, Step

Make = Callable[..., WebEnv]
Call = Callable[..., str]


class Guestbook(ForeignSite):
    """Write a name into a guest book, once."""

    name = "guestbook"
    host = "guests.test"
    not_state = ("*.log",)

    def templates(self) -> Sequence[str]:
        return ("sign",)

    def create(self, folder: Path) -> None:
        (folder / "book.txt").write_text("Ann\nBob\n")

    def command(self, folder: Path, port: int) -> Sequence[str]:
        program = Path(__file__).with_name("guestbook.py")
        return [sys.executable, str(program), str(folder), str(port)]

    def task(self, template: str, seed: int, folder: Path) -> str:
        with (folder / "book.txt").open("a") as book:
            book.write(f"Guest {seed}\n")
        return "Sign the guest book as Zoe."

    def accepts(self, template: str, seed: int, folder: Path, answer: str) -> bool:
        return (folder / "book.txt").read_text() == f"Ann\nBob\nGuest {seed}\nZoe\n"


def follow(env: WebEnv, observation: str, steps: Sequence[Step]) -> tuple[str, float]:
    """Take steps; return the last observation and reward."""
    script, reward = Script(steps, f"http://{env.suite.host}"), 0.0
    for _ in steps:
        action = script.next_call(observation).as_text()
        observation, reward, _, _, info = env.step(action)
        assert (info["action_error"], info["infra_error"]) == (None, None)
    return observation, reward


def test_a_forwarder_passes_on_for_its_host_only(call: Call) -> None:
    site = Guestbook()
    try:
        start = site.begin("sign", 1)
        assert start.server is not None

        def ask(method: str, url: str, body: str | None = None) -> tuple[int, str]:
            connection = http.client.HTTPConnection(*start.server)
            connection.request(method, url, body)
            response = connection.getresponse()
            text = response.read().decode()
            connection.close()
            return response.status, text

        assert "<li>Bob</li>" in ask("GET", "http://guests.test/")[1]
        assert ask("POST", "http://guests.test/", "name=Cid+%26+co") == (303, "")
        assert "<li>Cid &amp; co</li>" in ask("GET", "http://guests.test/?a=1")[1]
        for url in ("http://other.test/", "/", "http://guests.test:81/"):
            assert ask("GET", url)[0] == 404
        os.kill(site.pid, signal.SIGKILL)
        assert ask("GET", "http://guests.test/")[0] == 502
    finally:
        site.close()


def test_a_foreign_site_is_saved_and_resumed_in_a_second_environment(
    make_env: Make, call: Call
) -> None:
    first, second = make_env(suite=Guestbook), make_env(suite=Guestbook)
    observation, _ = first.reset(options={"task_id": "sign#7"})
    assert "- Guest 7" in observation
    observation, _ = follow(first, observation, [Fill("Name", "Zoe"), Click("Sign")])
    snapshot = first.snapshot()
    _, reward = follow(first, observation, [Fill("Name", "Zoe"), Click("Sign"), Finish()])
    assert reward == 0.0
    for _ in range(2):
        observation, _ = second.reset(options={"snapshot": snapshot})
        assert observation.count("Zoe") == 1
        assert second.snapshot().blobs == snapshot.blobs
        assert follow(second, observation, [Finish()])[1] == 1.0


def test_files_that_are_not_of_the_snapshot_are_gone_after_a_restore(make_env: Make) -> None:
    env = make_env(suite=Guestbook)
    env.reset(options={"task_id": "sign#7"})
    snapshot, digest = env.snapshot(), env.effect().state_digest
    state, blobs = env.suite.save()
    folder = env.suite.folder
    (folder / "more.txt").write_text("more")
    (folder / "server.log").write_text("no state")
    assert env.effect().state_digest != digest
    env.reset(options={"snapshot": snapshot})
    assert env.effect().state_digest == digest
    assert sorted(path.name for path in folder.iterdir()) == ["book.txt", "server.log"]
    with pytest.raises(SnapshotError, match="leaves the folder"):
        env.suite.load("sign", 7, {**state, "files": {"../x": next(iter(blobs))}}, blobs)


def test_a_killed_program_costs_one_truncated_episode(make_env: Make, call: Call) -> None:
    env = make_env(suite=Guestbook)
    env.reset(options={"task_id": "sign#7"})
    os.kill(env.suite.pid, signal.SIGKILL)
    _, reward, terminated, truncated, info = env.step(call("goto", url="http://guests.test/"))
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert "the server of Guestbook has died" in info["infra_error"]
    observation, _ = env.reset(options={"task_id": "sign#7"})
    assert "- Guest 7" in observation


def test_a_closed_site_leaves_nothing_behind() -> None:
    site = Guestbook()
    start = site.begin("sign", 1)
    folder, pid = site.folder, site.pid
    assert "forwarder" in [thread.name for thread in threading.enumerate()]
    site.close()
    site.close()
    assert not folder.exists()
    assert not psutil.pid_exists(pid)
    assert "forwarder" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(start.server)
