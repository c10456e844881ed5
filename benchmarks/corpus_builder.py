"""Building the base model's corpus once, and loading it again."""

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from rich.progress import track
from tokenizers import AddedToken
from transformers import AutoTokenizer

from benchmarks.corpus import (
    Code,
    Row,
    corpus_hash,
    encode_row,
    is_for_pretraining,
    library_code,
    package_code,
    python_text,
    save_rows,
    shows_unseen,
    tool_call_pieces,
    web_pieces,
)
from benchmarks.drills import (
    copying_drill,
    drill_words,
    look_up_drill,
    proofreading_drill,
    recital,
    repair_drill,
    search_drill,
)
from benchmarks.fumbles import Rehearsal, rehearse
from benchmarks.rehearsal import RehearsalEnv, UnrecordedRunError, passed_output
from pivot_agents.tiny import train_tokenizer
from pivot_envs import Message, ToolCall
from pivot_envs.coding.source import fetch_source
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.tasks.mutations import SourceFunction
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.coding.view import find_function, show_function
from pivot_envs.coding.workspace import Workspace

VOCAB_SIZE = 2048
MAX_TOKENS = 704
"""Longer rows are left out."""
OUTPUT_CHARS = 600
"""Longest observation in the corpus and in the benchmarks, in characters."""
ROWS = {
    "library": 24_000,
    "library_slips": 16_000,
    "package": 48_000,
    "package_slips": 48_000,
    "proofreading": 40_000,
    "search": 40_000,
    "recital": 400,
    "episode": 6,
    "look_up": 40_000,
    "copying": 10_000,
    "text": 6_000,
}
"""Rows of each kind; of ``recital`` about one a function, of ``episode`` so many a task."""
SLIPS = 0.8
"""Share of slips among the bugs to be found; the tasks' own bugs are few and learned by heart."""
RECORDED_RUNS = 400
"""Training tasks whose failing test run is recorded, for demonstrations that run tests first."""

COPYING: Mapping[str, float] = {"look_up": 0.70, "copying": 0.20, "text": 0.10}
"""Share of the rows of each kind in the first stage of pretraining, which teaches to copy."""

DRILLS: Mapping[str, float] = {
    "library": 0.03,
    "library_slips": 0.06,
    "package": 0.06,
    "package_slips": 0.22,
    "proofreading": 0.32,
    "search": 0.19,
    "recital": 0.02,
    "look_up": 0.06,
    "copying": 0.02,
    "text": 0.02,
}
"""Share of the rows of each kind in the second stage."""

EPISODES: Mapping[str, float] = {**DRILLS, "episode": 0.5, "web": 1.0}
"""Share of the rows of each kind in the third stage."""

RELEASES = (("more-itertools", "10.7.0"), ("sqlparse", "0.5.3"))

LIBRARY = re.findall(
    r"\S+",
    """
    bisect calendar cmd codecs colorsys configparser contextlib copy csv dataclasses
    email/utils fnmatch fractions functools gettext graphlib heapq html/parser http/cookies
    json/decoder json/encoder linecache logging/__init__ mimetypes netrc numbers pathlib
    plistlib posixpath pprint queue random reprlib sched selectors shlex shutil statistics
    string tempfile textwrap threading timeit tokenize trace traceback types urllib/parse uuid
    weakref _collections_abc _strptime
    """,
)


@dataclass(frozen=True)
class Corpus:
    """Everything that pretraining reads."""

    tokenizer: Any
    rows: Mapping[str, Sequence[Row]]
    sha256: str


def build_drills(folder: Path, seed: int, start: Path | None = None, share: float = 1.0) -> None:
    """Build tokenizer and drills into ``folder``; what is there already is kept.

    A model to start from brings its tokenizer. Of the rows of each kind a ``share`` is built.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if start is not None and not (folder / "tokenizer").exists():
        _save_tokenizer(AutoTokenizer.from_pretrained(start), folder)
    missing = [kind for kind in DRILLS if not (folder / f"{kind}.npz").exists()]
    if not missing and (folder / "tokenizer").exists():
        return
    library = list(track(library_code(LIBRARY), "library", len(LIBRARY)))
    workspaces = [Workspace.of(fetch_source(*release)) for release in RELEASES]
    packages = [code for workspace in workspaces for code in package_code(workspace)]
    if not (folder / "tokenizer").exists():
        texts = _tokenizer_texts(library, packages, workspaces, random.Random(seed))
        _save_tokenizer(train_tokenizer(texts, VOCAB_SIZE), folder)
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    words = drill_words(library)
    for kind in missing:
        generator = random.Random(f"{seed} {kind}")
        if kind == "recital":
            drawn: Iterable[tuple[Message, ...] | None] = [
                recital(code, function) for code, function in _pairs(packages)
            ]
        else:
            make = _maker(kind, library, packages, words)
            drawn = (make(generator) for _ in range(int(share * ROWS[kind])))
        rows = _encoded(tokenizer, track(drawn, kind, int(share * ROWS[kind])))
        save_rows(folder / f"{kind}.npz", rows)


def build_episodes(folder: Path, tasks_path: str | None, seed: int) -> None:
    """Render the expert's episodes on the training tasks into ``folder``, unless they are there."""
    if (folder / "episode.npz").exists():
        return
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    tasks = TaskSet(tasks_path, split="train")
    every = (tasks[task_id] for task_id in tasks.ids)
    train = [t for t in every if is_for_pretraining(t.package, t.bug.function, t.bug.mutation)]
    records = _record_runs(folder, tasks_path, train, seed)
    episodes = _episodes(tasks_path, train, records, seed)
    rows = _short(encode_row(tokenizer, each.messages, each.wrong) for each in episodes)
    save_rows(folder / "episode.npz", rows)


def load_corpus(folder: Path) -> Corpus:
    """Load a corpus that was built."""
    rows: dict[str, Sequence[Row]] = {}
    for kind in (*ROWS, "pages", "web"):
        if not (folder / f"{kind}.npz").exists():
            continue
        with np.load(folder / f"{kind}.npz") as stored:
            ends = np.cumsum(stored["lengths"])[:-1]
            ids, actions = np.split(stored["ids"], ends), np.split(stored["actions"], ends)
            rows[kind] = [Row(a, b) for a, b in zip(ids, actions, strict=True)]
    digest = corpus_hash(row for kind in sorted(rows) for row in rows[kind])
    return Corpus(AutoTokenizer.from_pretrained(folder / "tokenizer"), rows, digest)


def _save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Add the pieces that are kept whole and are missing, and write the tokenizer."""
    pieces = (*tool_call_pieces(), *web_pieces())
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in pieces])
    tokenizer.save_pretrained(folder / "tokenizer")


def _pairs(code: Sequence[Code]) -> list[tuple[Code, SourceFunction]]:
    return [(each, function) for each in code for function in each.functions if function.mutations]


def _maker(
    kind: str, library: Sequence[Code], packages: Sequence[Code], words: Sequence[str]
) -> Callable[[random.Random], tuple[Message, ...] | None]:
    """Return the function that draws a conversation of a kind."""
    if kind == "look_up":
        return lambda generator: look_up_drill(words, generator)
    if kind == "copying":
        return lambda generator: copying_drill(words, generator)
    if kind == "text":
        return lambda generator: (Message("assistant", python_text(library, generator)),)
    in_packages, in_library = _pairs(packages), _pairs(library)
    if kind == "search":
        return lambda g: search_drill(in_packages, slips=g.random() < SLIPS, generator=g)
    if kind == "proofreading":

        def proofread(generator: random.Random) -> tuple[Message, ...] | None:
            pairs = in_packages if generator.random() < 0.75 else in_library
            slips = generator.random() < SLIPS
            return proofreading_drill(*generator.choice(pairs), slips=slips, generator=generator)

        return proofread
    pairs = in_library if kind.startswith("library") else in_packages
    slips = kind.endswith("slips")
    return lambda generator: repair_drill(
        *generator.choice(pairs), slips=slips, generator=generator
    )


def _encoded(tokenizer: Any, conversations: Iterable[tuple[Message, ...] | None]) -> Iterator[Row]:
    return _short(encode_row(tokenizer, messages) for messages in conversations if messages)


def _short(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if len(row.token_ids) <= MAX_TOKENS)


def _episodes(
    tasks_path: str | None,
    train: Sequence[CodingTask],
    records: Mapping[str, tuple[str, str]],
    seed: int,
) -> Iterator[Rehearsal]:
    env = RehearsalEnv(tasks=tasks_path, records=records, max_output_chars=OUTPUT_CHARS)
    by_id = {task.task_id: task for task in train}
    workspaces = {name: Workspace.of(fetch_source(name, version)) for name, version in RELEASES}
    code = {
        name: {each.path: each for each in package_code(workspace)}
        for name, workspace in workspaces.items()
    }
    for task in track(train, "episode"):
        is_recorded = bool(records[task.task_id][0])
        for repeat in range(ROWS["episode"] * (2 if is_recorded else 1)):
            # Demonstrations are collected with seeds below 1000; these are others.
            drawn = 1000 + seed * 100 + repeat
            spoilt = code[task.package] if is_recorded and repeat % 3 else None
            try:
                episode = rehearse(env, task.task_id, drawn, by_id, spoilt)
            except UnrecordedRunError:
                continue
            # The first place that the tools lead to may be a function that is held out.
            if not shows_unseen(task.package, episode.messages):
                yield episode


def _record_runs(
    folder: Path, tasks_path: str | None, train: Sequence[CodingTask], seed: int
) -> Mapping[str, tuple[str, str]]:
    """Run the failing tests of some tasks in the real sandbox and keep what they print."""
    path = folder / "recorded_runs.json"
    records: dict[str, tuple[str, str]] = {}
    if path.exists():
        failures = json.loads(path.read_text())
    else:
        chosen = random.Random(seed).sample(list(train), min(RECORDED_RUNS, len(train)))
        env = gym.make("pivot/Coding-v0", tasks=tasks_path, max_output_chars=20_000)
        failures = {}
        for task in track(chosen, "recorded runs"):
            env.reset(options={"task_id": task.task_id})
            observation = env.step(ToolCall("bash", {}).as_text())[0]
            failures[task.task_id] = observation.rpartition("\n[exit code")[0] + "\n"
        env.close()
        path.write_text(json.dumps(failures))
    for task in train:
        records[task.task_id] = (failures.get(task.task_id, ""), passed_output(task))
    return records


def _tokenizer_texts(
    library: Sequence[Code],
    packages: Sequence[Code],
    workspaces: Sequence[Workspace],
    generator: random.Random,
) -> Iterator[str]:
    words = drill_words(library)
    for code, repeats in [*((each, 1) for each in library), *((each, 4) for each in packages)]:
        for function in code.functions:
            span = find_function(code.text, function.name)
            if span is not None:
                yield from [show_function(code.text, span)] * repeats
    for workspace in workspaces:
        for path, content in workspace.files.items():
            if "test_" in path and path.endswith(".py"):
                yield content.decode("utf-8", errors="replace")
    for _ in range(600):
        yield "\n".join(message.content for message in look_up_drill(words, generator))
