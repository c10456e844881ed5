"""How many steps a second several pages do together."""

import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from pivot_envs.web.env import WebEnv

TASKS = ("click-test-2", "click-checkboxes", "login-user", "book-flight")


@dataclass(frozen=True, slots=True)
class Throughput:
    """Steps and resets of some pages in some processes."""

    processes: int
    pages: int
    """Pages of each process."""
    steps_per_s: float
    resets_per_s: float


def throughput(processes: int, pages: int, seconds: float) -> Throughput:
    """Let every page act at random for ``seconds`` and count."""
    if processes == 1:
        counts = [_count(pages, seconds)]
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            counts = list(pool.map(_count, [pages] * processes, [seconds] * processes))
    steps = sum(count[0] for count in counts) / seconds
    resets = sum(count[1] for count in counts) / seconds
    return Throughput(processes, pages, steps, resets)


def _count(pages: int, seconds: float) -> tuple[int, int]:
    """Return the steps and resets of pages in threads of this process."""
    envs = [WebEnv(tasks=[TASKS[index % len(TASKS)]], max_turns=20) for index in range(pages)]
    counts = [(0, 0)] * pages
    for index, env in enumerate(envs):
        env.reset(seed=index)
    end = time.perf_counter() + seconds

    def work(index: int) -> None:
        env, steps, resets = envs[index], 0, 0
        while time.perf_counter() < end:
            env.step(env.sample_action())
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
