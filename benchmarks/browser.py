"""Measure web environments: steps, resets, snapshots and restores, beside what people use today.

``python -m benchmarks.browser`` times ours; ``--peers`` runs BrowserGym and Farama's miniwob beside
it, task by task in the same run and on the same browser, in a virtual environment of their own.
``--exactness`` walks at random and counts what comes back exactly.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from platformdirs import user_cache_dir
from rich.console import Console
from rich.table import Table

from benchmarks.exactness import Walk, summary, walks
from benchmarks.throughput import throughput
from pivot_envs import ToolCall
from pivot_envs.errors import PivotError
from pivot_envs.web.chrome import find_browser
from pivot_envs.web.env import WebEnv
from pivot_envs.web.miniwob.names import TASKS
from pivot_envs.web.wandering import elements

MEASURED = (
    *("click-test-2", "click-checkboxes", "login-user", "book-flight", "click-tab-2"),
    *("use-autocomplete", "email-inbox", "social-media", "enter-text", "choose-list"),
    *("click-dialog", "navigate-tree", "read-table", "search-engine"),
)
PEERS = ("browsergym", "browsergym-fast", "farama")
_PINS = ("browsergym-core==0.14.3", "browsergym-miniwob==0.14.3", "miniwob==1.1.0")
_PREFIX = 6


@dataclass(frozen=True)
class Arguments:
    """Measure web environments."""

    tasks: tuple[str, ...] = MEASURED
    """Templates of MiniWoB++ to time."""
    repetitions: int = 50
    """How often each operation is timed in each task; a fifth of it for the peers."""
    peers: bool = False
    """Whether to measure BrowserGym and Farama's miniwob in the same run."""
    peers_python: Path | None = None
    """A Python that has the peers; by default one is made in the user's cache, by pip."""
    exactness: bool = False
    """Count what comes back exactly, in every task and both input modes, instead of timing."""
    seeds: int = 3
    """Seeds of each task for --exactness."""
    inputs: tuple[str, ...] = ("js", "trusted")
    """Input modes for --exactness."""
    seconds: float = 10.0
    """How long each throughput is counted; 0 leaves it out."""
    out: Path | None = None
    """JSON file to write."""


@dataclass(slots=True)
class Times:
    """Times of one environment in one task, in milliseconds."""

    step_ms: list[float] = field(default_factory=list)
    drawn_step_ms: list[float] = field(default_factory=list)
    """A step and a screenshot."""
    reset_ms: list[float] = field(default_factory=list)
    snapshot_ms: list[float] = field(default_factory=list)
    restore_ms: list[float] = field(default_factory=list)
    """Of a prefix of six actions, without a spare page."""
    warm_restore_ms: list[float] = field(default_factory=list)
    """The same, with a spare page."""
    parked_ms: list[float] = field(default_factory=list)
    """Resuming a parked page."""

    def medians(self) -> dict[str, float | None]:
        """Return the medians by name."""
        return {
            name: statistics.median(times) if times else None
            for name, times in asdict(self).items()
        }


def measure(task: str, repetitions: int) -> Times:
    """Time ours: random clicks, resets to new problems, and the ways to come back."""
    env = WebEnv(max_turns=10**6, render_mode="rgb_array")
    generator = np.random.default_rng(0)
    times = Times()
    try:
        env.reset(options={"task_id": f"{task}#0"})
        while len(times.step_ms) < repetitions:
            for draws in (False, True):
                _act(env, generator, times, draws=draws)
                if not env.is_running or len(times.step_ms) % 5 == 0:
                    options = {"task_id": f"{task}#{len(times.reset_ms) + 1}"}
                    _time(times.reset_ms, partial(env.reset, options=options))
        _measure_returns(env, task, generator, times, max(5, repetitions // 3))
    finally:
        env.close()
    return times


def _act(env: WebEnv, generator: np.random.Generator, times: Times, *, draws: bool) -> None:
    refs = [ref for ref, _, _ in elements(env.page.text)] or [1]
    action = ToolCall("click", {"ref": int(generator.choice(refs))}).as_text()
    if draws:
        _time(times.drawn_step_ms, lambda: (env.step(action), env.render()))
    else:
        _time(times.step_ms, lambda: env.step(action))


def _measure_returns(
    env: WebEnv, task: str, generator: np.random.Generator, times: Times, repetitions: int
) -> None:
    """Time snapshots, restores with and without a spare page, and parked pages."""
    start = {"task_id": f"{task}#0"}
    other = {"task_id": "click-test#0" if task != "click-test" else "click-test-2#0"}
    env.reset(options=start)
    for key in ("Tab", "ArrowDown", "Tab", "a", "Tab", "ArrowUp")[:_PREFIX]:
        env.step(ToolCall("press", {"key": key}).as_text())
    for _ in range(repetitions):
        _time(times.snapshot_ms, env.snapshot)
    saved = {"snapshot": env.snapshot()}
    for _ in range(repetitions):
        # Another page in between, so that none of this task's has been loaded ahead.
        env.reset(options=other)
        _time(times.restore_ms, lambda: env.reset(options=saved))
    env.reset(options=saved)
    for _ in range(repetitions):
        time.sleep(0.3)  # the time of a model's turn, in which the next page loads
        _time(times.warm_restore_ms, lambda: env.reset(options=saved))
        parked = {"snapshot": env.park()}
        _time(times.parked_ms, partial(env.reset, options=parked))


def _time(times: list[float], operation: Any) -> None:
    began = time.perf_counter()
    operation()
    times.append(1000 * (time.perf_counter() - began))


def peers_python(given: Path | None) -> Path:
    """Return a Python that has the peers, making one if none is given."""
    if given is not None:
        return given
    folder = Path(user_cache_dir("pivotrl")) / "browser-peers"
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *_PINS], check=True)
        (folder / ".complete").touch()
    return python


def measure_peer(python: Path, peer: str, task: str, repetitions: int) -> dict[str, Any]:
    """Return a peer's times in one task, or its error."""
    program = Path(__file__).with_name("browser_peers.py")
    browser = find_browser(None, "")
    command = [str(python), str(program), peer, browser, task, str(repetitions)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=600)
    finally:
        _kill_session(process.pid)  # Selenium leaves its browser behind
        process.wait()
    try:
        result: dict[str, Any] = json.loads(output.splitlines()[-1])[task]
    except (ValueError, IndexError):
        return {"error": errors.strip()[-200:]}
    return result


def _kill_session(session: int) -> None:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in brackets, may hold anything; the session is the fourth field after it.
            if int(stat.read_text().rpartition(")")[2].split()[3]) == session:
                os.kill(int(stat.parent.name), signal.SIGKILL)


def compare(arguments: Arguments) -> dict[str, Any]:
    """Time ours and, if asked, the peers, task by task."""
    python = peers_python(arguments.peers_python) if arguments.peers else None
    rows: dict[str, Any] = {}
    for task in arguments.tasks:
        row: dict[str, Any] = {"ours": measure(task, arguments.repetitions).medians()}
        for peer in PEERS if python is not None else ():
            assert python is not None
            times = measure_peer(python, peer, task, max(5, arguments.repetitions // 5))
            if "error" not in times:
                times = {name: statistics.median(values) for name, values in times.items()}
            row[peer] = times
        rows[task] = row
        print(task, json.dumps(row), file=sys.stderr, flush=True)
    return rows


def ratios(rows: dict[str, Any]) -> dict[str, float]:
    """Return how many times longer BrowserGym without its sleeps takes, by median over tasks."""
    found: dict[str, list[float]] = {"step": [], "reset": [], "step with a screenshot": []}
    for row in rows.values():
        peer, ours = row.get("browsergym-fast", {}), row["ours"]
        if "step_ms" in peer:
            found["step"].append(peer["step_ms"] / ours["step_ms"])
            found["reset"].append(peer["reset_ms"] / ours["reset_ms"])
            # BrowserGym's observation always has one.
            found["step with a screenshot"].append(peer["step_ms"] / ours["drawn_step_ms"])
    return {name: statistics.median(values) for name, values in found.items() if values}


def show(rows: dict[str, Any]) -> None:
    """Print a table of medians."""
    table = Table(title="medians in ms")
    columns = ("step", "with screenshot", "reset", "snapshot", "restore", "warm", "parked")
    for name in ("task", *columns, *PEERS):
        table.add_column(name, justify="left" if name == "task" else "right")
    for task, row in rows.items():
        ours = [f"{value:.1f}" if value else "-" for value in row["ours"].values()]
        peers = [_peer_text(row.get(peer)) for peer in PEERS]
        table.add_row(task, *ours, *peers)
    Console(width=170).print(table)


def _peer_text(times: dict[str, Any] | None) -> str:
    if times is None:
        return "-"
    return "failed" if "error" in times else f"{times['step_ms']:.0f} / {times['reset_ms']:.0f}"


def exactness(arguments: Arguments) -> dict[str, Any]:
    """Walk in every task, print every exception, and return the counts of each input mode."""
    tasks: Sequence[str] = TASKS if arguments.tasks == MEASURED else arguments.tasks
    result: dict[str, Any] = {}
    for source in arguments.inputs:
        done: list[Walk] = []
        for each in walks(tasks, range(arguments.seeds), source):
            done.append(each)
            if each.difference is not None:
                print(f"{source} {each.task_id}: {each.difference}", flush=True)
        result[source] = summary(done)
        print(source, {k: v for k, v in result[source].items() if k != "exceptions"})
    return result


def main(arguments: Arguments) -> None:
    """Measure, print, and write.

    Raises:
        SystemExit: There is no browser here.
    """
    try:
        result = _measure(arguments)
    except PivotError as error:
        raise SystemExit(f"error: {error}") from error
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def _measure(arguments: Arguments) -> dict[str, Any]:
    if arguments.exactness:
        return {"exactness": exactness(arguments)}
    rows = compare(arguments)
    show(rows)
    result: dict[str, Any] = {"medians_ms": rows, "ratios": ratios(rows), "throughput": []}
    for name, ratio in result["ratios"].items():
        print(f"BrowserGym without its sleeps / ours, {name}: {ratio:.1f}")
    for ends in (False, True) if arguments.seconds else ():
        for processes, pages in ((1, 1), (1, 2), (1, 4), (2, 1), (2, 2)):
            counted = throughput(processes, pages, arguments.seconds, ends=ends)
            result["throughput"].append(asdict(counted))
            print(
                f"{processes} processes of {pages} pages, {'short' if ends else 'long'} episodes: "
                f"{counted.steps_per_s:.0f} steps/s and {counted.resets_per_s:.0f} resets/s"
            )
    result["browser"] = shutil.which("chromium-headless-shell") or ""
    return result


if __name__ == "__main__":
    main(tyro.cli(Arguments))
