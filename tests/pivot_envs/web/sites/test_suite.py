import functools
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import gymnasium as gym
import psutil
import pytest
from gymnasium.utils.env_checker import check_env

from benchmarks.sites import play, play_idly, try_walk
from pivot_agents.sites_expert import SitesExpert
from pivot_envs.errors import InfraError, SnapshotError
from pivot_envs.store import SnapshotStore
from pivot_envs.testing import check_pivot_env
from pivot_envs.web.env import WebEnv
from pivot_envs.web.sites.process import SiteProcess
from pivot_envs.web.sites.suite import TEMPLATES, WORLDS, SitesSuite, make_instance
from pivot_envs.web.suite import PageState

Make = Callable[..., WebEnv]
Call = Callable[..., str]

make_sites = functools.partial(gym.make, "pivot/Web-v0", suite="sites")


@pytest.fixture(scope="module")
def second_env(browser: None):
    env = WebEnv(suite="sites", max_turns=60)
    yield env
    env.close()


def test_there_are_several_templates_a_site_and_goals_in_more_than_one_wording() -> None:
    for site in ("shop", "tracker", "mail"):
        assert sum(template.startswith(f"{site}.") for template in TEMPLATES) >= 4
    for template in TEMPLATES:
        instances = [make_instance(template, seed) for seed in range(2 * WORLDS)]
        assert len({each.task.goal for each in instances}) > WORLDS
        assert len({each.task.goal.split()[0] for each in instances}) > 1
        assert all(len(each.task.solutions) > 1 for each in instances)


def test_a_task_is_the_same_in_another_process() -> None:
    program = (
        "from pivot_envs.web.sites.suite import SitesSuite, TEMPLATES; "
        "print([SitesSuite().task_hash(each) for each in TEMPLATES])"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert runs[0] == runs[1]


@pytest.mark.timeout(300)
def test_the_contracts_are_kept(browser: None) -> None:
    with closing(make_sites()) as env:
        check_env(env.unwrapped)
    check_pivot_env(make_sites)


@pytest.mark.parametrize("number", range(6))
def test_a_random_walk_comes_back_exactly_and_goes_on_as_it_did(
    number: int, sites_env: WebEnv, second_env: WebEnv
) -> None:
    walk = try_walk(sites_env, second_env, number)
    assert walk.difference == ""
    assert walk.is_exact


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_hundred_walks_come_back_exactly(sites_env: WebEnv, second_env: WebEnv) -> None:
    walks = [try_walk(sites_env, second_env, number) for number in range(200)]
    assert [walk for walk in walks if not walk.is_exact] == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("template", TEMPLATES)
def test_the_expert_solves_20_seeds_and_doing_nothing_none(
    template: str, sites_env: WebEnv
) -> None:
    for seed in range(20):
        task_id = f"{template}#{seed}"
        assert play(sites_env, task_id, SitesExpert(seed=seed))[0] == 1.0
        assert play_idly(sites_env, task_id) == 0.0


def test_a_snapshot_in_the_middle_of_an_order_survives_a_store_and_a_new_environment(
    sites_env: WebEnv, make_env: Make, tmp_path: Path, call: Call
) -> None:
    sites_env.reset(options={"task_id": "shop.buy#1"})
    for path in ("products/3", "cart"):
        observation, *_ = sites_env.step(call("goto", url=f"http://shop.sites.test/{path}"))
    sites_env.step(call("goto", url="http://shop.sites.test/products/3"))
    add = next(line for line in sites_env.messages[-1].content.split("\n") if "Add to" in line)
    sites_env.step(call("click", ref=int(add.partition("]")[0].strip("[ "))))
    snapshot = sites_env.snapshot()
    database = sites_env.suite.process.save()
    store = SnapshotStore(tmp_path)
    key = store.put(snapshot)
    env = make_env(suite="sites", max_turns=60)
    observation, _ = env.reset(options={"snapshot": store.get(key)})
    assert "Added to your cart." in observation
    assert env.suite.process.save() == database
    assert env.effect().state_digest == sites_env.effect().state_digest


def test_a_damaged_database_is_refused(sites_env: WebEnv) -> None:
    sites_env.reset(options={"task_id": "shop.buy#1"})
    suite = sites_env.suite
    state, blobs = suite.save()
    (key,) = blobs
    with pytest.raises(SnapshotError, match="damaged"):
        suite.load("shop.buy", 1, state, {key: blobs[key][:-4096]})


def test_a_killed_server_costs_one_truncated_episode(sites_env: WebEnv, call: Call) -> None:
    sites_env.reset(options={"task_id": "shop.total#1"})
    os.kill(sites_env.suite.process.pid, signal.SIGKILL)
    _, reward, terminated, truncated, info = sites_env.step(
        call("goto", url="http://shop.sites.test/orders")
    )
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert "site server" in info["infra_error"]
    assert play(sites_env, "shop.total#1", SitesExpert())[0] == 1.0


def test_a_server_that_died_before_the_answer_is_no_wrong_answer(
    sites_env: WebEnv, call: Call
) -> None:
    sites_env.reset(options={"task_id": "shop.total#1"})
    os.kill(sites_env.suite.process.pid, signal.SIGKILL)
    _, reward, terminated, truncated, info = sites_env.step(call("submit"))
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert "site server" in info["infra_error"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_killed_at_any_moment_costs_at_most_one_episode(
    sites_env: WebEnv, call: Call
) -> None:
    failures = 0
    for attempt in range(6):
        sites_env.reset(options={"task_id": f"shop.buy#{attempt}"})
        process = sites_env.suite.process
        killer = threading.Timer(0.02 * attempt, os.kill, (process.pid, signal.SIGKILL))
        killer.start()
        for path in ("products", "products/3", "products?q=lamp", "cart") * 5:
            _, reward, terminated, truncated, info = sites_env.step(
                call("goto", url=f"http://shop.sites.test/{path}")
            )
            assert (reward, terminated) == (0.0, False)
            assert truncated == (info["infra_error"] is not None)
            if truncated:
                failures += 1
                break
        killer.join()
    assert failures == 6
    assert play(sites_env, "shop.total#1", SitesExpert())[0] == 1.0


def test_other_hosts_are_not_served(sites_env: WebEnv, call: Call) -> None:
    sites_env.reset(options={"task_id": "shop.total#1"})
    for url in ("http://mail.sites.test/", "http://example.com/", "http://127.0.0.1/"):
        observation, *_, info = sites_env.step(call("goto", url=url))
        assert "Postbox" not in observation
        assert info["infra_error"] is None


def test_a_server_ends_with_its_owner() -> None:
    program = (
        "import os, signal; from pivot_envs.web.sites.process import SiteProcess; "
        "from pivot_envs.web.sites.suite import make_instance; process = SiteProcess(); "
        "process.load('mail', make_instance('mail.draft', 0).content); "
        "print(process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert run.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while psutil.pid_exists(int(run.stdout)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(int(run.stdout))


def test_servers_leave_no_process_and_no_descriptor_behind() -> None:
    # In a process of its own: the browser of other tests has processes that come and go.
    program = """
import psutil
from pivot_envs.web.sites.process import SiteProcess
from pivot_envs.web.sites.suite import make_instance
content = make_instance("mail.draft", 0).content
own = psutil.Process()
before = (len(own.children()), own.num_fds())
for _ in range(3):
    process = SiteProcess()
    process.load("mail", content)
    assert process.save() == content
    process.close()
    process.close()
process = SiteProcess()
process.load("mail", content)
del process
assert (len(own.children()), own.num_fds()) == before
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_server_that_was_killed_says_so_and_starts_again() -> None:
    content = make_instance("mail.draft", 0).content
    process = SiteProcess()
    try:
        process.load("mail", content)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(InfraError, match="site server"):
            process.save()
        process.load("mail", content)
        assert process.save() == content
    finally:
        process.close()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_server_does_not_grow_over_2000_episodes() -> None:
    suite = SitesSuite()
    sizes = []
    try:
        for episode in range(2000):
            template = TEMPLATES[episode % len(TEMPLATES)]
            start = suite.begin(template, episode % 64)
            connection = http.client.HTTPConnection(*start.server)
            for path in ("", "search?q=a", "products?q=a", "login"):
                connection.request("GET", f"{start.url}{path}")
                connection.getresponse().read()
            connection.close()
            suite.grade(PageState("", "", ""), "")
            if episode in (500, 1999):
                server = psutil.Process(suite.process.pid)
                sizes.append((server.memory_info().rss, server.num_fds(), server.num_threads()))
    finally:
        suite.close()
    (early, *early_counts), (late, *late_counts) = sizes
    assert late - early < 4 * 2**20
    assert max(b - a for a, b in zip(early_counts, late_counts, strict=True)) <= 2
