"""Run thousands of short coding episodes and show what has grown: memory, processes, mounts, files.

``python -m benchmarks.leaks`` prints a table of figures before, halfway and after.
"""

import contextlib
import gc
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

import pivot_envs  # noqa: F401  registers the environments
from pivot_envs import ToolCall
from pivot_envs.errors import PivotError
from pivot_envs.sandbox.docker import DEFAULT_IMAGE
from pivot_envs.sandbox.engine import OWNER_LABEL, Owner, connect

MOUNTS = ("box", "workspace", "scratch", "hidden")
"""What the mounts of an embedded box call themselves, in contrast to those of the machine."""
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True)
class Arguments:
    """Look for leaks."""

    episodes: int = 2000
    """Episodes between the first and the last figures."""
    warm_up: int = 200
    """Episodes before the first figures, in which caches fill."""
    reopen_every: int = 50
    """Episodes after which the environment is closed, so that the next one starts a new box."""
    sandbox: Literal["embedded", "docker"] = "embedded"
    """Which kind of box; for docker, containers and images are counted too."""
    image: str = DEFAULT_IMAGE
    """Image of the Docker boxes."""
    out: Path | None = None
    """JSON file to write."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What this process and its boxes hold."""

    memory_kb: int
    """Resident memory of this process."""
    box_memory_kb: int
    """Resident memory of all processes below this one."""
    descriptors: int
    """Open descriptors of this process and of all below it."""
    threads: int
    processes: int
    """Processes below this one."""
    mounts: int
    """Mounts of boxes that this process and those below it see."""
    temporary_files: int
    """Entries of the folder for temporary files."""
    control_groups: int
    """Control groups of the whole machine."""
    containers: int = 0
    """Containers of this process, running or not."""
    images: int = 0
    """Images of the engine, nameless ones too."""

    @classmethod
    def measure(cls, *, in_docker: bool = False) -> "Figures":
        """Count everything now; with ``in_docker`` the containers' processes too."""
        gc.collect()
        own, below = os.getpid(), list(_processes_below(os.getpid()))
        containers, images, inside = _engine_holds() if in_docker else (0, 0, [])
        below += inside
        everyone = [own, *below]
        return cls(
            memory_kb=_memory_kb(own),
            box_memory_kb=sum(map(_memory_kb, below)),
            descriptors=sum(_count(f"/proc/{pid}/fd") for pid in everyone),
            threads=_count(f"/proc/{own}/task"),
            processes=len(below),
            mounts=_mounts(everyone),
            temporary_files=_count(tempfile.gettempdir()),
            control_groups=sum(1 for _ in Path("/sys/fs/cgroup").glob("**/cgroup.procs")),
            containers=containers,
            images=images,
        )


def _engine_holds() -> tuple[int, int, list[int]]:
    """Return how many containers we and images the engine has, and the containers' processes."""
    with contextlib.closing(connect()) as engine:
        label = f"{OWNER_LABEL}={Owner.current().text()}"
        containers = engine.containers(all=True, filters={"label": label})
        tables = [engine.top(container["Id"])["Processes"] for container in containers]
        inside = [int(row[1]) for table in tables for row in table]
        return len(containers), len(engine.images(all=True)), inside


def run_episodes(env: "gym.Env[str, str]", count: int, *, reopen_every: int) -> None:
    """Run short episodes: a reset, a command, a snapshot, another command, and a restore.

    Args:
        env: A coding environment.
        count: How many.
        reopen_every: Episodes after which the environment is closed.
    """
    inner: Any = env.unwrapped
    for index in range(count):
        env.reset(seed=index)
        _step(env, f"echo {index} > made-{index % 7}; export SEEN={index}; sleep 5 & true")
        snapshot = inner.snapshot()
        _step(env, "mkdir -p folder/inner; head -c 20000 /dev/urandom > folder/inner/random; cd /")
        env.reset(options={"snapshot": snapshot})
        _step(env, f"test $SEEN = {index} && test ! -e folder")
        if index % reopen_every == reopen_every - 1:
            env.close()


def settle(env: "gym.Env[str, str]") -> None:
    """Begin an episode and wait until all of its box has started, the warm interpreter too."""
    env.reset(seed=0)
    _step(env, "python -m pytest --version")


def _step(env: "gym.Env[str, str]", command: str) -> None:
    observation, *_, info = env.step(ToolCall("bash", {"command": command}).as_text())
    if info["infra_error"] is not None or not observation.endswith("[exit code 0]"):
        raise RuntimeError(f"{command!r} failed: {observation} {info['infra_error']}")


def _processes_below(ancestor: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_bytes().rpartition(b") ")[2].split()
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    waiting = [ancestor]
    while waiting:
        found = children.get(waiting.pop(), [])
        yield from found
        waiting += found


def _memory_kb(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KB
    return 0


def _count(folder: str) -> int:
    with contextlib.suppress(OSError):
        return sum(1 for _ in Path(folder).iterdir())
    return 0


def _mounts(pids: list[int]) -> int:
    """Count a box's mounts in all mount namespaces of these processes."""
    namespaces: dict[str, str] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            table = Path(f"/proc/{pid}/mountinfo").read_text()
            namespaces[str(Path(f"/proc/{pid}/ns/mnt").readlink())] = table
    lines = [line for table in namespaces.values() for line in table.splitlines()]
    return sum(line.rpartition(" - ")[2].split()[1] in MOUNTS for line in lines)


def measure_all(arguments: Arguments) -> tuple[dict[str, Figures], float]:
    """Run the episodes; return the figures by moment, and the seconds that all took."""
    is_docker = arguments.sandbox == "docker"
    image = arguments.image if is_docker else None
    env = gym.make("pivot/Coding-v0", max_turns=10, sandbox=arguments.sandbox, image=image)
    half = arguments.episodes // 2
    stretches = {
        "before": arguments.warm_up,
        "halfway": half,
        "after": arguments.episodes - half,
    }
    figures = {}
    began = time.monotonic()
    for name, count in stretches.items():
        for start in track(range(0, count, arguments.reopen_every), name):
            few = min(arguments.reopen_every, count - start)
            run_episodes(env, few, reopen_every=arguments.reopen_every)
        settle(env)
        figures[name] = Figures.measure(in_docker=is_docker)
    env.close()
    figures["closed"] = Figures.measure(in_docker=is_docker)
    return figures, time.monotonic() - began


def main(arguments: Arguments) -> None:
    """Run, print, and write.

    Raises:
        SystemExit: A number is out of range, or there is no such box here.
    """
    if arguments.episodes < 2 or arguments.warm_up < 0 or arguments.reopen_every < 1:
        raise SystemExit(
            "expected --episodes of at least 2, --warm-up of at least 0 and --reopen-every of at "
            f"least 1, got {arguments.episodes}, {arguments.warm_up} and {arguments.reopen_every}"
        )
    with tempfile.TemporaryDirectory() as folder:
        # A folder of its own, as others may use the common one meanwhile.
        tempfile.tempdir = folder
        try:
            figures, seconds = measure_all(arguments)
        except PivotError as error:
            raise SystemExit(f"error: {error}") from error
        tempfile.tempdir = None
    table = Table(f"{arguments.episodes} episodes", *figures, "growth")
    for name in asdict(figures["before"]):
        values = [getattr(one, name) for one in figures.values()]
        table.add_row(name, *map(str, values), f"{values[2] - values[0]:+d}")
    Console().print(table, f"{seconds:.0f} s", sep="\n")
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "sandbox": arguments.sandbox,
            "episodes": arguments.episodes,
            "figures": {name: asdict(one) for name, one in figures.items()},
        }
        arguments.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
