"""How many steps a second several pages do together."""

import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

from pivot_envs.tools import ToolCall
from pivot_envs.web.env import WebEnv
from pivot_envs.web.wandering import elements

TASKS = ("click-test-2", "click-checkboxes", "login-user", "book-flight")


@dataclass(frozen=True, slots=True)
class Throughput:
    """Steps and resets of some pages in some processes."""

    processes: int
    pages: int
    """Pages of each process."""
    ends: bool
    """Whether the agent may end episodes. A random one does so after a few steps, and then most of
    the time goes into resets."""
    steps_per_s: float
    resets_per_s: float


def throughput(processes: int, pages: int, seconds: float, *, ends: bool) -> Throughput:
    """Let every page act at random for ``seconds`` and count."""
    count = partial(_count, pages, seconds, ends)
    if processes == 1:
        counts = [count()]
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            counts = [each.result() for each in [pool.submit(count) for _ in range(processes)]]
    steps = sum(count[0] for count in counts) / seconds
    resets = sum(count[1] for count in counts) / seconds
    return Throughput(processes, pages, ends, steps, resets)


def _lasting(env: WebEnv) -> str:
    """Return an action that ends no episode: something on a field or box, or a key."""
    generator = env.action_space.np_random
    known = [each for each in elements(env.page.text) if each[1] not in ("button", "link")]
    if not known or generator.random() < 0.2:
        return ToolCall("press", {"key": "Tab"}).as_text()
    ref, role, _ = known[int(generator.integers(len(known)))]
    if role == "textbox":
        return ToolCall("fill", {"ref": ref, "text": "Anna"}).as_text()
    return ToolCall("click", {"ref": ref}).as_text()


def _count(pages: int, seconds: float, ends: bool) -> tuple[int, int]:
    """Return the steps and resets of pages in threads of this process."""
    envs = [
        WebEnv(tasks=[TASKS[index % len(TASKS)]], max_turns=20 if ends else 200)
        for index in range(pages)
    ]
    counts = [(0, 0)] * pages
    for index, env in enumerate(envs):
        env.reset(seed=index)
    end = time.perf_counter() + seconds

    def work(index: int) -> None:
        env, steps, resets = envs[index], 0, 0
        while time.perf_counter() < end:
            env.step(env.sample_action() if ends else _lasting(env))
            steps += 1
            if not env.is_running:
                env.reset()
                resets += 1
        counts[index] = (steps, resets)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(pages)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for env in envs:
        env.close()
    return sum(steps for steps, _ in counts), sum(resets for _, resets in counts)
