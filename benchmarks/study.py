"""Study, what every stage of a comparison needs: tasks, base model, environments, run directory."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.domains import Domain
from benchmarks.protocol import Protocol, TaskDraw
from benchmarks.run_directory import RunDirectory, fingerprint
from pivot_agents.accounting import TurnCounter
from pivot_agents.env_host import WrapEnv, wrapped
from pivot_agents.llm import LLMPolicy
from pivot_agents.lora import LoRAConfig
from pivot_agents.pool import Backend, EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_envs.errors import SandboxError
from pivot_envs.trajectory import Trajectory, read_trajectories, write_trajectories


@dataclass(frozen=True)
class Study:
    """One comparison in the making."""

    protocol: Protocol
    domain: Domain
    draw: TaskDraw
    base: LLMPolicy
    """The model that all arms start from; never trained."""
    run: RunDirectory
    progress: Progress
    other: Domain | None = None
    """Another domain, on which no arm is trained."""
    backend: Backend = "threads"
    """Where environments are held."""

    def pool(self, task_ids: Sequence[str] | None = None, wrap: WrapEnv | None = None) -> EnvPool:
        """Return a pool of environments that draw from the named tasks, those of training if none.

        ``wrap`` is applied to each; it goes to other processes with all that it refers to.
        """
        chosen = self.draw.train if task_ids is None else task_ids
        make_env = self.domain.env_maker(chosen, self.protocol)
        if wrap is not None:
            make_env = wrapped(make_env, wrap)
        return EnvPool(make_env, self.protocol.pool_size, backend=self.backend)

    def student(self, seed: int) -> LLMPolicy:
        """Return the base model with a fresh adapter, which changes nothing yet."""
        base = self.base.with_temperature(1.0, seed=seed)
        return base.with_adapter(LoRAConfig(seed=seed))

    @contextmanager
    def bar(
        self, label: str, total: float, unit: str = "turns"
    ) -> Iterator[Callable[[float], None]]:
        """Show a progress bar; yields a function that advances it. The end is a printed line."""
        began = time.perf_counter()
        task = self.progress.add_task(label, total=total, unit=unit)
        try:
            yield lambda amount: self.progress.advance(task, amount)
        finally:
            self.progress.remove_task(task)
        self.progress.console.print(f"{label}: {time.perf_counter() - began:.0f} s", style="dim")

    def say(self, text: str) -> None:
        """Print a line above the progress bars."""
        self.progress.console.print(text)


def progress_bars(console: Console) -> Progress:
    """Return the bars that a comparison shows."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} {task.fields[unit]}"),
        TimeElapsedColumn(),
        console=console,
    )


def collect_demonstrations(study: Study) -> tuple[Trajectory, ...]:
    """Return the expert's successful episodes on the training tasks, collected once.

    Raises:
        SandboxError: Not one episode succeeded.
    """
    path = study.run.path / "demonstrations.jsonl"
    if path.exists():
        return read_trajectories(path)
    began = time.perf_counter()
    counter = TurnCounter()
    expert = study.domain.demonstrator(study.protocol.draw_seed)
    starts = [Start(options={"task_id": task_id}) for task_id in study.draw.train]
    with (
        study.pool() as pool,
        study.bar("demonstrations", len(starts) * study.protocol.max_turns) as advance,
    ):
        episodes = rollout(
            pool,
            expert,
            starts,
            purpose="demonstrate",
            counter=counter,
            record_snapshots=True,
            on_turn=advance,
        )
    successful = [one for one in episodes if one.is_success and one.infra_error is None]
    if not successful:
        reason = next((one.infra_error for one in episodes if one.infra_error), "none solved it")
        raise SandboxError(f"none of {len(episodes)} demonstrations succeeded: {reason}")
    facts = {
        "tasks": len(episodes),
        "successful": len(successful),
        "turns": counter["demonstrate"].turns,
        "wall_s": time.perf_counter() - began,
    }
    study.run.write_json("demonstrations.json", facts)
    write_trajectories(path, successful)
    return read_trajectories(path)


def configuration(
    protocol: Protocol, model: str, domain: Domain, other: Domain | None, device: str
) -> dict[str, Any]:
    """Return everything that decides the results."""
    folder = Path(model)
    # The card decides nothing.
    files = [file for file in folder.glob("*.*") if file.suffix != ".md"]
    weights = fingerprint(files) if folder.is_dir() else "from the hub"
    return {
        "protocol": asdict(protocol),
        "model": {"name": model, "files_sha256": weights},
        "domain": {"name": domain.name, **domain.identity()},
        "other": None if other is None else {"name": other.name, **other.identity()},
        "device": device,
    }
