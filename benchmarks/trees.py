"""Trees: how long boxes take to save and load workspaces of few and of many files."""

import time
from collections.abc import Mapping

from rich.progress import track

from benchmarks.command_cost import PAUSE_S, PAUSED
from benchmarks.timing import Figure, elapsed_ms
from pivot_envs.sandbox.base import Sandbox, SandboxState
from pivot_envs.sandbox.choice import SandboxChoice

SIZES: Mapping[int, int] = {50: 4_000, 5_000: 10_000}
"""Number of files to bytes of each."""
TARGETS_MS: Mapping[tuple[str, int], tuple[float, float]] = {
    ("embedded", 50): (1.0, 3.0),
    ("embedded", 5_000): (3.0, 15.0),
    ("docker", 50): (6.0, 15.0),
    ("docker", 5_000): (60.0, 90.0),
}
"""Kind of box and number of files to the medians that a save and a load should not exceed."""
_FOREIGN_LOADS = 10
_TIMEOUT_S = 60.0

_MAKE = """python - <<'END'
import os
for number in range({files}):
    folder = f"folder{{number // 50}}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{{folder}}/file{{number}}", "w") as file:
        file.write(f"{{number:09d}}\\n" * ({size} // 10))
END"""
_EDIT = (
    "for i in 1 2 3; do echo {index} >> folder0/file$i; done; echo {index} > new{index}; X={index}"
)


def measure_tree(choice: SandboxChoice, files: int, repetitions: int) -> list[Figure]:
    """Measure saves and loads of a tree of ``files`` files.

    Before each save a command, which is not timed, appends to three files and makes one. The save
    follows at once, or after a pause, in which the box asks its shell for its state. A load
    goes back to the first state. A foreign load is the first of a state in a new box, as in
    another process: all contents travel.
    """
    with choice.make() as box:
        box.run(_MAKE.format(files=files, size=SIZES[files]), timeout_s=_TIMEOUT_S)
        state = box.save()
        saves, loads = _saves_and_loads(box, state, repetitions, f"{files} files", 0.0)
        later, _ = _saves_and_loads(box, state, repetitions, f"{files} files, later", PAUSE_S)
    foreign = []
    for _ in track(range(_FOREIGN_LOADS), f"foreign loads, {files} files"):
        with choice.make() as box:
            foreign.append(elapsed_ms(lambda box=box: box.load(state)))  # type: ignore[misc]
    save_target, load_target = TARGETS_MS[choice.name, files]
    return [
        Figure.of(f"save a box of {files} files, at once", saves, save_target),
        Figure.of(f"save a box of {files} files, {PAUSED}", later, save_target),
        Figure.of(f"load it again, {files} files", loads, load_target),
        Figure.of(f"first load in a new box, {files} files", foreign),
    ]


def _saves_and_loads(
    box: Sandbox, state: SandboxState, repetitions: int, title: str, pause_s: float
) -> tuple[list[float], list[float]]:
    saves, loads = [], []
    for index in track(range(repetitions + 1), title):
        box.run(_EDIT.format(index=index), timeout_s=_TIMEOUT_S)
        time.sleep(pause_s)
        saves.append(elapsed_ms(box.save))
        loads.append(elapsed_ms(lambda: box.load(state)))
        if box.save() != state:
            raise AssertionError("a load did not bring the state back")
    return saves[1:], loads[1:]
