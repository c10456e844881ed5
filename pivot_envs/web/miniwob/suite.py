"""MiniWobSuite, the 130 task pages of MiniWoB++ as a suite."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pivot_envs.snapshot import sha256
from pivot_envs.web.miniwob.names import TASKS
from pivot_envs.web.miniwob.pages import WHEEL_SHA256, TaskPages
from pivot_envs.web.suite import PageState, Start, Suite, Verdict

_DECAY_MS = 10_000
_SCRIPT = """
(() => {
  Math.seedrandom(%d);
  core.EPISODE_MAX_TIME = 1000000;
  // The task is told once, not with every page.
  document.getElementById('query').setAttribute('aria-hidden', 'true');
  document.body.removeEventListener('click', core.canvasDrawClick);
  core.startEpisodeReal();
  core.clearTimer();
})()
"""
_PROBE = """
({
  isDone: WOB_DONE_GLOBAL,
  rawReward: WOB_RAW_REWARD_GLOBAL,
  elapsedMs: Date.now() - core.ept0,
  goal: core.getUtterance(),
})
"""


class MiniWobSuite(Suite):
    """MiniWoB++: click, type, choose and drag in small closed pages.

    A seed gives the same problem as in BrowserGym, which has 125 of the tasks. The page ends the
    episode and says what it was worth, from -1 to 1; the reward is that, and 0 for less. ``info``
    has ``raw_reward`` and ``decayed_reward``, which shrinks to 0 in 10 s of the page's virtual
    time (an action takes 0.1 s and what it sets going).
    """

    name = "miniwob"
    viewport = (332, 214)
    probe = _PROBE
    max_turns = 30

    def __init__(self) -> None:
        self._pages = TaskPages()

    def templates(self) -> Sequence[str]:
        """Return the names of the task pages."""
        return TASKS

    def begin(self, template: str, seed: int) -> Start:
        """Return the task's page and the script that draws the problem of ``seed``."""
        # BrowserGym draws the page's seed in this way.
        page_seed = np.random.RandomState(seed % 2**32).randint(0, 1_000_000)
        url = self._pages.path(template).as_uri()
        return Start(url=url, script=_SCRIPT % page_seed)

    def goal(self, page: PageState) -> str:
        """Return the page's own words for the task."""
        said: Any = page.probe["goal"]
        return str(said["utterance"] if isinstance(said, dict) else said)

    def grade(self, page: PageState, answer: str | None) -> Verdict:
        """Return what the page says."""
        raw = float(page.probe["rawReward"] or 0.0)
        left = max(0.0, 1.0 - page.probe["elapsedMs"] / _DECAY_MS)
        info = {"raw_reward": raw, "decayed_reward": raw * left if raw > 0 else raw}
        if not page.probe["isDone"]:
            return Verdict(info=info)
        text = "the task is done" if raw >= 1 else f"the task is over; the page gives {raw:g}"
        return Verdict(max(0.0, raw), terminated=True, text=text, info=info)

    def task_hash(self, template: str) -> str:
        """Return a digest of the page that the task is made from."""
        return sha256(f"{WHEEL_SHA256} {template} {_SCRIPT} {_PROBE}".encode())
