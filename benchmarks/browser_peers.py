"""Time the steps and resets of BrowserGym and Farama's miniwob; runs in a Python of their own.

``benchmarks/browser.py`` starts it: it imports nothing of this project and prints one JSON object.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


def main() -> None:
    """Measure the peer, tasks and repetitions that the command line names."""
    peer, browser, tasks, repetitions = sys.argv[1:5]
    measure = {"browsergym": measure_browsergym, "browsergym-fast": measure_browsergym}.get(
        peer, measure_farama
    )
    result: dict[str, Any] = {}
    for task in tasks.split(","):
        try:
            result[task] = measure(task, browser, int(repetitions), peer.endswith("fast"))
        except Exception as error:  # what a peer cannot do is part of the result
            result[task] = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
    print(json.dumps(result))


def measure_browsergym(
    task: str, browser: str, repetitions: int, is_fast: bool
) -> dict[str, list[float]]:
    """Return step and reset times in milliseconds of random clicks."""
    import miniwob
    import playwright.sync_api

    pages = Path(miniwob.__file__).parent / "html" / "miniwob"
    os.environ["MINIWOB_URL"] = f"{pages.as_uri()}/"
    launch = playwright.sync_api.BrowserType.launch

    def launch_ours(self: Any, **options: Any) -> Any:
        options["executable_path"] = browser
        return launch(self, **options)

    playwright.sync_api.BrowserType.launch = launch_ours  # type: ignore[method-assign]
    import browsergym.core
    import browsergym.miniwob  # noqa: F401, registers
    import gymnasium as gym

    options = {"pre_observation_delay": 0, "slow_mo": 0} if is_fast else {}
    env: Any = gym.make(f"browsergym/miniwob.{task}", disable_env_checker=True, **options)
    generator = random.Random(0)
    steps: list[float] = []
    resets: list[float] = []
    seconds, (observation, _) = timed(partial(env.reset, seed=0))
    while len(steps) < repetitions or len(resets) < max(3, repetitions // 5):
        properties = observation["extra_element_properties"]
        bids = [bid for bid, each in properties.items() if each["clickable"]] or list(properties)
        action = f"click({generator.choice(bids)!r})"
        seconds, (observation, _, terminated, truncated, _) = timed(partial(env.step, action))
        steps.append(seconds)
        if terminated or truncated or len(steps) % 5 == 0:
            seconds, (observation, _) = timed(partial(env.reset, seed=len(resets)))
            resets.append(seconds)
    env.close()
    return {"step_ms": steps, "reset_ms": resets}


def measure_farama(
    task: str, browser: str, repetitions: int, is_fast: bool
) -> dict[str, list[float]]:
    """Return step and reset times in milliseconds of random clicks."""
    import gymnasium as gym
    import miniwob
    import selenium.webdriver
    from miniwob.action import ActionTypes

    os.environ["SE_OFFLINE"] = "true"
    chrome = selenium.webdriver.Chrome

    def chrome_ours(options: Any = None, **rest: Any) -> Any:
        options.binary_location = browser
        options.add_argument("--no-sandbox")
        service = selenium.webdriver.ChromeService(executable_path="/usr/bin/chromedriver")
        return chrome(options=options, service=service)

    setattr(selenium.webdriver, "Chrome", chrome_ours)  # noqa: B010, a patch
    gym.register_envs(miniwob)
    env: Any = gym.make(f"miniwob/{task}-v1", disable_env_checker=True)
    generator = random.Random(0)
    steps: list[float] = []
    resets: list[float] = []
    observation, _ = env.reset(seed=0)
    while len(steps) < repetitions or len(resets) < max(3, repetitions // 5):
        refs = [each["ref"] for each in observation["dom_elements"] if each["ref"] > 0]
        action = env.unwrapped.create_action(ActionTypes.CLICK_ELEMENT, ref=generator.choice(refs))
        seconds, (observation, _, terminated, truncated, _) = timed(partial(env.step, action))
        steps.append(seconds)
        if terminated or truncated or len(steps) % 5 == 0:
            seconds, (observation, _) = timed(partial(env.reset, seed=len(resets)))
            resets.append(seconds)
    env.close()
    return {"step_ms": steps, "reset_ms": resets}


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long a call took in milliseconds, and its result."""
    began = time.perf_counter()
    result = call()
    return 1000 * (time.perf_counter() - began), result


if __name__ == "__main__":
    main()
