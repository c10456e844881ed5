"""Pages that attack: what each tries, and what the agent and the environment see of it."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pivot_envs.web.env import WebEnv
from pivot_envs.web.suite import Suite

Step = tuple[str, float, bool, bool, dict[str, Any]]
Visit = Callable[..., Step]
Call = Callable[..., str]


@pytest.fixture
def visit(
    make_env: Callable[..., WebEnv], notes_suite: type[Suite], call: Call
) -> Callable[..., tuple[WebEnv, Step]]:
    """Return a function that opens a page with ``body`` and does ``actions`` in it."""

    def visit(body: str, *actions: str, **options: Any) -> tuple[WebEnv, Step]:
        pages = {"/attack": f"<!DOCTYPE html><title>Attack</title>{body}"}
        suite = type("AttackSuite", (notes_suite,), {"pages": pages})
        env = make_env(suite=suite, **options)
        env.reset(seed=0)
        step = env.step(call("goto", url="http://notes.test/attack"))
        for action in actions:
            if env.is_running:
                step = env.step(action)
        return env, step

    return visit


def button(script: str) -> str:
    return f'<button id="b">Go</button><script>b.onclick = () => {{ {script} }};</script>'


def assert_recovers(env: WebEnv) -> None:
    observation, info = env.reset(seed=1)
    assert "Notes" in observation
    assert info["infra_error"] is None


def test_an_endless_loop_costs_one_episode(visit: Any, call: Call) -> None:
    env, step = visit(button("for (;;);"), call("click", ref=1), timeout_s=8)
    _, reward, terminated, truncated, info = step
    assert "did not answer within 8 s" in info["infra_error"]
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert_recovers(env)


def test_a_page_that_loops_while_it_loads_costs_one_episode(visit: Any) -> None:
    env, step = visit("<script>for (;;);</script>", timeout_s=8)
    assert step[3]
    assert step[4]["infra_error"]
    assert_recovers(env)


def test_a_storm_of_dialogs_is_answered_and_shortened(visit: Any, call: Call) -> None:
    script = "for (let i = 0; i < 5000; i++) alert('no ' + i); confirm('sure?');"
    env, step = visit(button(script), call("click", ref=1))
    assert 'dialog: alert "no 0"' in step[0]
    assert "more of the kind were left out" in step[0]
    assert len(step[0]) < 1000
    assert env.is_running


def test_dialogs_are_accepted_and_told(visit: Any, call: Call) -> None:
    script = "document.title = confirm('sure?') + prompt('name?', 'Ann')"
    _, step = visit(button(script), call("click", ref=1))
    assert 'dialog: confirm "sure?", accepted' in step[0]
    assert "page: trueAnn" in step[0]


@pytest.mark.parametrize("mode", ["js", "trusted"])
def test_popups_do_not_open(visit: Any, call: Call, mode: str) -> None:
    body = button("for (let i = 0; i < 50; i++) open('/help')")
    body += '<a href="/help" target="_blank">Help</a>'
    env, step = visit(body, call("click", ref=1), input=mode)
    assert "was not opened" in step[0]
    step = env.step(call("click", ref=2))
    assert "Write a note." in step[0]


def test_timers_that_never_end_are_bounded(visit: Any, call: Call) -> None:
    script = "let n = 0; const f = () => { n++; document.title = n; setTimeout(f, 0); }; f();"
    script += "const g = () => requestAnimationFrame(g); g(); setInterval(() => 0, 1);"
    env, step = visit(button(script), call("click", ref=1), call("click", ref=1))
    assert env.is_running
    assert step[4]["infra_error"] is None


def test_a_huge_page_is_clipped(visit: Any, call: Call) -> None:
    script = "b.insertAdjacentHTML('afterend', '<p>word <b>bold</b></p>'.repeat(100000))"
    env, step = visit(button(script), call("click", ref=1), timeout_s=60)
    assert "the page has more elements than can be shown" in step[0]
    assert "lines below: scroll down to see them" in step[0]
    assert len(step[0]) < 8500
    assert env.is_running


def test_other_hosts_are_refused(visit: Any, call: Call) -> None:
    env, step = visit(button("location.href = 'http://outside.test/'"), call("click", ref=1))
    assert "the page tried to open http://outside.test/; refused" in step[0]
    assert env.page.url == "http://notes.test/attack"


def test_a_page_that_a_redirect_brings_in_is_hidden(visit: Any, call: Call) -> None:
    env, step = visit('<a href="/away">Away</a>', call("click", ref=1))
    assert "outside.test is not a host of this task" in step[0]
    step = env.step(call("back"))
    assert "page: Attack http://notes.test/attack" in step[0]


def test_addresses_of_other_kinds_are_refused(visit: Any, call: Call) -> None:
    for url in ("file:///etc/passwd", "chrome://version", "data:text/html,x", "javascript:1", ""):
        _, step = visit("", call("goto", url=url))
        assert "is not reachable" in step[4]["action_error"]


@pytest.fixture
def canary() -> Iterator[tuple[int, list[str]]]:
    """Listen on a port of the loopback and record who calls."""
    calls: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            calls.append("called")
            connection.close()

    threading.Thread(target=listen, daemon=True).start()
    yield server.getsockname()[1], calls
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def test_other_servers_of_the_machine_are_out_of_reach(
    visit: Any, call: Call, canary: tuple[int, list[str]]
) -> None:
    port, calls = canary
    script = f"""
      const other = 'http://127.0.0.1:{port}/';
      fetch(other, {{mode: 'no-cors'}}).catch(() => 0);
      new Image().src = other;
      try {{ new WebSocket('ws://127.0.0.1:{port}/'); }} catch (error) {{}}
      navigator.sendBeacon(other, 'x');
      const frame = document.createElement('iframe');
      frame.src = other.replace('127.0.0.1', 'localhost');
      document.body.append(frame);
      const link = document.createElement('link');
      link.rel = 'preconnect'; link.href = other; document.head.append(link);"""
    env, _ = visit(button(script), call("click", ref=1), call("press", key="Tab"))
    assert env.is_running
    assert calls == []


def test_service_workers_are_blocked(visit: Any, call: Call) -> None:
    script = """navigator.serviceWorker ? navigator.serviceWorker.register('/help')
      .then(() => { document.title = 'registered'; }, () => { document.title = 'blocked'; })
      : (document.title = 'blocked')"""
    _, step = visit(button(script), call("click", ref=1), call("press", key="Tab"))
    assert "registered" not in step[0]


def test_files_cannot_be_uploaded(visit: Any, call: Call) -> None:
    _, step = visit('<input type="file" aria-label="Picture">', call("click", ref=1))
    assert step[4]["action_error"] == "files cannot be uploaded here"


def test_downloads_are_refused(visit: Any, call: Call) -> None:
    body = '<a href="data:application/zip;base64,UEsF" download="a.zip">Get</a>'
    env, _ = visit(body, call("click", ref=1))
    assert env.is_running


def test_a_page_cannot_close_itself(visit: Any, call: Call) -> None:
    env, step = visit(button("window.close()"), call("click", ref=1))
    assert "the page tried to close itself; ignored" in step[0]
    assert env.is_running


def test_a_page_that_reloads_without_end_costs_one_episode(visit: Any) -> None:
    env, step = visit("<script>location.reload()</script>", timeout_s=20)
    assert step[4]["infra_error"] or env.is_running
    assert_recovers(env)


def test_a_page_that_breaks_the_script_that_reads_it_costs_one_episode(
    visit: Any, call: Call
) -> None:
    script = "Element.prototype.checkVisibility = () => { throw new Error('mine'); }"
    env, step = visit(button(script), call("click", ref=1))
    assert "the page broke the script that reads it" in step[4]["infra_error"]
    assert_recovers(env)
