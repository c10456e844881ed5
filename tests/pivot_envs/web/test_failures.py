"""What kills a browser costs one truncated episode, and nothing stays behind."""

import asyncio
import contextlib
import gc
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pivot_envs.web import driver as driver_module
from pivot_envs.web.driver import Driver
from pivot_envs.web.env import WebEnv
from pivot_envs.web.suite import Suite

Make = Callable[..., WebEnv]
Call = Callable[..., str]


def descendants(parent: int) -> dict[int, str]:
    """Return the command lines of the living processes below one, by process id."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
            except (OSError, IndexError):
                continue
    found: dict[int, str] = {}
    grown = True
    while grown:
        new = {p for p, up in parents.items() if p not in found and (up == parent or up in found)}
        for each in new:
            try:
                found[each] = Path(f"/proc/{each}/cmdline").read_text().replace("\0", " ")
            except OSError:
                found[each] = ""
        grown = bool(new)
    return {each: line for each, line in found.items() if line}


def victims(kind: str) -> list[int]:
    """Return the processes of a kind: renderer, browser or driver."""
    processes = descendants(os.getpid())
    if kind == "renderer":
        return [each for each, line in processes.items() if "--type=renderer" in line]
    if kind == "browser":
        return [each for each, line in processes.items() if "--remote-debugging-pipe" in line]
    return [each for each, line in processes.items() if "run-driver" in line]


def kill(kind: str) -> None:
    for process in victims(kind):
        # Pages that were closed may end by themselves meanwhile.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@pytest.mark.parametrize("kind", ["renderer", "browser", "driver"])
def test_a_kill_costs_at_most_one_episode(make_env: Make, call: Call, kind: str) -> None:
    env = make_env(tasks=["click-checkboxes#7"])
    expected, _ = env.reset()
    kill(kind)
    _, _, terminated, truncated, info = env.step(call("click", ref=4))
    assert not terminated
    assert truncated
    assert info["infra_error"].startswith("BrowserError: ")
    observation, _ = env.reset()
    assert observation == expected
    assert env.step(call("click", ref=4))[4]["infra_error"] is None


@pytest.mark.parametrize("kind", ["renderer", "browser", "driver"])
def test_a_kill_between_episodes_costs_nothing(make_env: Make, kind: str) -> None:
    env = make_env(tasks=["click-test#1"])
    expected, _ = env.reset()
    snapshot = env.snapshot()
    kill(kind)
    assert env.reset(options={"snapshot": snapshot})[0] == expected


def test_closing_everything_leaves_no_process(make_env: Make, notes_suite: type[Suite]) -> None:
    env = make_env(suite=notes_suite)
    env.reset(seed=0)
    env.close()
    Driver.shared().close()
    end = time.monotonic() + 20
    while victims("browser") or victims("driver") or victims("renderer"):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert env.reset(seed=0)


def test_a_driver_that_does_not_answer_is_killed_with_its_browser(
    make_env: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_env(tasks=["click-checkboxes#7"]).reset()
    driver = Driver.shared()
    (process,) = (each.get_pid() for each in driver._loop.processes)
    family = {process, *descendants(process)}
    assert len(family) > 1
    os.kill(process, signal.SIGSTOP)
    monkeypatch.setattr(driver_module, "_STOP_S", 1.0)
    driver.close()
    # The browser ends when its driver is gone, a moment later.
    deadline = time.monotonic() + 30
    while left := {each for each in family if has_command(each)}:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    make_env(tasks=["click-checkboxes#7"]).reset()


def has_command(process: int) -> bool:
    """Tell whether a process lives; one that has ended has no command line, reaped or not."""
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    except OSError:
        return False


def test_a_worn_driver_is_replaced_and_ends(
    make_env: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(tasks=["click-test#1"])
    expected, _ = env.reset()
    before = victims("driver")
    monkeypatch.setattr("pivot_envs.web.driver.MOST_DOCUMENTS", 3)
    for _ in range(4):
        assert env.reset()[0] == expected
    monkeypatch.undo()
    await_end(before)


def await_end(drivers: list[int]) -> None:
    end = time.monotonic() + 20
    while set(drivers) & set(victims("driver")):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_parked_page_keeps_its_worn_driver(
    make_env: Make, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(tasks=["click-checkboxes#7"])
    env.reset()
    expected = env.step(call("click", ref=4))[0]
    parked = env.park()
    monkeypatch.setattr("pivot_envs.web.driver.MOST_DOCUMENTS", 1)
    before = victims("driver")
    env.reset()
    assert env.reset(options={"snapshot": parked})[0] == expected
    assert victims("driver") == before
    env.reset()
    env.reset()
    await_end(before)


def test_pages_that_were_loaded_ahead_for_nothing_are_closed(make_env: Make) -> None:
    env = make_env(tasks=["click-test", "click-test-2"])
    for episode in range(40):
        # The same task twice has its page loaded ahead, and then the other one comes.
        env.reset(options={"task_id": ("click-test#0", "click-test-2#0")[episode // 2 % 2]})
    end = time.monotonic() + 20
    while len(victims("renderer")) > 4:
        assert time.monotonic() < end, len(victims("renderer"))
        time.sleep(0.1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_kills_at_random_moments(make_env: Make, notes_suite: type[Suite], call: Call) -> None:
    generator = random.Random(0)
    env = make_env(suite=notes_suite)
    env.reset(seed=0)
    lost = kills = 0
    for _ in range(200):
        if generator.random() < 0.15:
            kind = generator.choice(["renderer", "browser", "driver", "server"])
            if kind == "server":
                env.suite.close()
            for process in victims(kind) if kind != "server" else ():
                os.kill(process, signal.SIGKILL)
            kills += 1
        info = env.step(env.sample_action())[4]
        lost += info["infra_error"] is not None
        if not env.is_running:
            env.reset(seed=0)
    assert lost <= kills


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_thousand_episodes_leave_nothing_behind(make_env: Make, call: Call) -> None:
    env = make_env(tasks=["click-checkboxes", "email-inbox", "login-user"])
    seen: list[tuple[int, int, float, float]] = []
    for episode in range(1, 2001):
        env.reset(seed=episode)
        for _ in range(3):
            if env.is_running:
                env.step(env.sample_action())
        if episode % 250 == 0:
            for task_id in ("login-user#0", "email-inbox#0"):  # no page is loaded ahead
                env.reset(options={"task_id": task_id})
            gc.collect()
            time.sleep(1.0)
            descriptors = len(list(Path("/proc/self/fd").iterdir()))
            processes = descendants(os.getpid())
            renderers = victims("renderer")
            others = {os.getpid(), *processes} - {*renderers}
            memory_mb = [sum(map(own_memory_mb, group)) for group in (others, renderers)]
            seen.append((len(processes), descriptors, memory_mb[0], memory_mb[1]))
    sys.stdout.write(f"processes, descriptors, memory without renderers, and theirs: {seen}\n")
    # The driver grows until it is replaced, after a thousand documents. Renderers go up and down by
    # more than the others grow.
    early, late = ([max(each) for each in zip(*half, strict=True)] for half in (seen[:4], seen[4:]))
    assert late[0] <= early[0] + 2
    assert late[1] <= early[1] + 5
    assert late[2] <= early[2] + 30
    assert late[3] <= 300


def own_memory_mb(process: int) -> float:
    """Return the memory that a process shares with no other, and its part of what it shares."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {process} has no Pss")


def test_what_a_closing_driver_never_began_is_not_complained_of(browser: None) -> None:
    driver = Driver()

    async def begin_and_close() -> None:
        driver.later(asyncio.sleep(60))
        await driver._stop_playwright()

    try:
        driver.run(begin_and_close(), 20.0)
    finally:
        driver.close()
    gc.collect()
