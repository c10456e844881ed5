"""The base model's episodes on MiniWoB++: what is shown, and what is held out.

Instances that the comparison draws are never shown, nor templates that it calls unseen.
"""

import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import gymnasium as gym
from rich.progress import track
from transformers import AutoTokenizer

from benchmarks.corpus import Row, encode_row, library_texts, save_rows
from benchmarks.corpus_builder import LIBRARY
from benchmarks.page_drills import page_drill
from benchmarks.web_domain import OBSERVATION_CHARS, UNSEEN
from pivot_agents.policy import Context
from pivot_agents.web_expert import MiniWobExpert
from pivot_envs.replay import core_of

FIRST_SEED = 100_000
"""The comparison's seeds are below this."""
MAX_TURNS = 12

FAMILIAR = (
    "click-checkboxes",
    "click-checkboxes-transfer",
    "click-option",
    "click-tab-2",
    "choose-list",
    "enter-password",
    "enter-text-dynamic",
    "login-user",
)
"""Templates of which another number of instances is shown."""


def build_web(
    folder: Path, seed: int, max_tokens: int, instances: int, known_instances: int
) -> None:
    """Play the expert's episodes in the real browser into ``folder``, unless they are there.

    Args:
        folder: Where the tokenizer is and the rows go.
        seed: Decides the instances and how the expert solves them.
        max_tokens: Longer episodes are left out.
        instances: How many are shown of each template.
        known_instances: The same of the familiar ones.
    """
    path = folder / "web.npz"
    if not path.exists():
        shown = {
            name: known_instances if name in FAMILIAR else instances
            for name in MiniWobExpert.templates
            if name not in UNSEEN
        }
        rows = _rows(AutoTokenizer.from_pretrained(folder / "tokenizer"), seed, shown)
        save_rows(path, (row for row in rows if len(row.token_ids) <= max_tokens))


def build_pages(folder: Path, seed: int, max_tokens: int, count: int) -> None:
    """Draw ``count`` page drills into ``folder``, unless they are there.

    Args:
        folder: Where the tokenizer is and the rows go.
        seed: Decides the pages and the questions.
        max_tokens: Longer drills are left out.
        count: How many are drawn.
    """
    path = folder / "pages.npz"
    if path.exists() or not count:
        return
    generator = random.Random(f"{seed} pages")
    text = " ".join(text for _, text in library_texts(LIBRARY))
    words = sorted(set(re.findall(r"[A-Za-z]{2,12}", text)))
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    drawn = (page_drill(words, generator) for _ in track(range(count), "pages"))
    rows = (encode_row(tokenizer, messages) for messages in drawn)
    save_rows(path, (row for row in rows if len(row.token_ids) <= max_tokens))


def _rows(tokenizer: object, seed: int, shown: Mapping[str, int]) -> Iterator[Row]:
    env = gym.make(
        "pivot/Web-v0",
        suite="miniwob",
        max_turns=MAX_TURNS,
        max_observation_chars=OBSERVATION_CHARS,
        disable_env_checker=True,
    )
    core = core_of(env)
    for template, count in track(shown.items(), "web", len(shown)):
        for number in range(count):
            expert = MiniWobExpert(seed=1000 + seed * 1000 + number)
            task_id = f"{template}#{FIRST_SEED + seed * 1000 + number}"
            _, info = env.reset(options={"task_id": task_id})
            while core.is_running:
                context = Context(core.messages, core.tools, task_id)
                *_, info = env.step(expert.act([context])[0].text)
            if info["is_success"]:
                yield encode_row(tokenizer, core.messages[:-1])
    env.close()
