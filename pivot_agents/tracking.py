"""Tracking: the metrics of training as a progress bar, in TensorBoard, in Weights & Biases."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

from pivot_agents.trainers.adapter_trainer import AdapterTrainer
from pivot_agents.trainers.metrics import StepMetrics

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class MetricsWriter(Protocol):
    """Where metrics go; a writer of your own is a class with these two methods."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the metrics of a finished step."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class TensorBoardWriter:
    """Writes event files that ``tensorboard --logdir`` shows; needs the package tensorboard."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Open a new event file in ``folder``.

        Raises:
            ModuleNotFoundError: tensorboard is not installed; the extra ``tracking`` brings it.
        """
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder))

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a point to every curve."""
        for name, value in metrics.items():
            self._writer.add_scalar(f"train/{name}", value, step)

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


class WandbWriter:
    """Writes a run of Weights & Biases; needs the package wandb."""

    def __init__(self, **arguments: Any) -> None:
        """Begin a run.

        Args:
            **arguments: Those of ``wandb.init``, such as ``project`` and ``config``; ``id`` and
                ``resume`` go on with an earlier run.

        Raises:
            ModuleNotFoundError: wandb is not installed; the extra ``tracking`` brings it.
        """
        import wandb

        self._run: Any = wandb.init(**arguments)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a point to every curve."""
        self._run.log({f"train/{name}": value for name, value in metrics.items()}, step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def scalars(metrics: StepMetrics) -> dict[str, float]:
    """Return the metrics of a step that it has, and its turns and tokens per second."""
    values = dataclasses.asdict(metrics)
    result = {name: float(value) for name, value in values.items() if value is not None}
    del result["step"]
    if metrics.rollout_s > 0:
        result["turns_per_s"] = metrics.turns / metrics.rollout_s
        result["tokens_per_s"] = metrics.generated_tokens / metrics.rollout_s
    return result


def track(
    trainer: AdapterTrainer,
    writers: Sequence[MetricsWriter] = (),
    *,
    console: "Console | None" = None,
    label: str = "training",
) -> Iterator[StepMetrics]:
    """Train to the end of the budget under a progress bar; yields each step's metrics.

    Where several processes train together, only the first shows and writes. The writers are closed
    at the end, also where it is an exception.

    Args:
        trainer: Trained; it may have been loaded from a checkpoint.
        writers: Where each step's metrics go.
        console: Where the bar is shown; standard error by default.
        label: What stands before the bar.
    """
    from rich.console import Console

    speaks = trainer.processes.rank == 0
    bar = _bar(console or Console(stderr=True), disable=not speaks)
    with ExitStack() as stack:
        for writer in writers:
            stack.callback(writer.close)
        stack.enter_context(bar)
        task = bar.add_task(label, total=1.0, said="")
        for metrics in trainer.train():
            values = scalars(metrics)
            bar.update(task, completed=trainer.done_share, said=said(metrics.step, values))
            for writer in writers if speaks else ():
                writer.write(metrics.step, values)
            yield metrics


def said(step: int, values: Mapping[str, float]) -> str:
    """Return what the bar says of a step: what of it is known, in a fixed order."""
    formats = {
        "turns_per_s": "{:.1f} turns/s",
        "tokens_per_s": "{:.0f} tokens/s",
        "reward_mean": "reward {:.2f}",
        "zero_variance_share": "no variance {:.0%}",
        "kl": "KL {:.3f}",
        "loss": "loss {:.3f}",
    }
    parts = [form.format(values[name]) for name, form in formats.items() if name in values]
    return " · ".join([f"step {step}", *parts])


def _bar(console: "Console", *, disable: bool) -> "Progress":
    # Importing rich draws from the global random generator.
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:.0f} %"),
        TextColumn("{task.fields[said]}", style="dim"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=disable,
    )
