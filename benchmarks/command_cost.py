"""Command cost: how long a command takes that does nothing, and where that time goes."""

import subprocess
import time
from collections.abc import Callable, Sequence

from rich.progress import track

from benchmarks.timing import Figure, elapsed_ms
from pivot_envs.sandbox.base import Sandbox
from pivot_envs.sandbox.choice import SandboxChoice

PAUSE_S = 0.005
"""Time between two commands, in which the box finishes what it does after each; a turn of a model
takes longer."""
PAUSED = f"{1e3 * PAUSE_S:g} ms after the last"

_ECHO = "while IFS= read -r line; do eval true; echo; done"


def measure_commands(choice: SandboxChoice, repetitions: int, target_ms: float) -> list[Figure]:
    """Measure ``true`` in a box, and what shows where its time goes.

    Reading an empty file is a request to the agent in the box that bash has no part in. A bash at
    the end of two pipes, without any box, is what a persistent bash costs at least. Each is
    measured one right after the other and with a pause between two, in which a machine's
    processors fall asleep.
    """
    with choice.make() as box:
        found = _both("true in a box", lambda: _true(box), repetitions, target_ms)
        box.write_file("empty", b"")
        found += _both("read an empty file", lambda: box.read_file("empty"), repetitions, None)
    bash = subprocess.Popen(["bash", "-c", _ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        found += _both("true in a bare bash", lambda: _echo(bash), repetitions, None)
    finally:
        bash.kill()
        bash.communicate()
    return found


def _both(
    name: str, operation: Callable[[], object], repetitions: int, target_ms: float | None
) -> list[Figure]:
    return [
        Figure.of(f"{name}, at once", _times(name, operation, repetitions, 0.0), target_ms),
        Figure.of(f"{name}, {PAUSED}", _times(name, operation, repetitions, PAUSE_S), target_ms),
    ]


def _times(
    name: str, operation: Callable[[], object], repetitions: int, pause_s: float
) -> Sequence[float]:
    times = []
    for _ in track(range(repetitions + 1), name):
        time.sleep(pause_s)
        times.append(elapsed_ms(operation))
    return times[1:]


def _true(box: Sandbox) -> None:
    box.run("true", timeout_s=10.0)


def _echo(bash: "subprocess.Popen[bytes]") -> None:
    if bash.stdin is None or bash.stdout is None:
        raise ValueError("the bash needs pipes")
    bash.stdin.write(b"\n")
    bash.stdin.flush()
    bash.stdout.readline()
