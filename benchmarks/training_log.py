"""TrainingLog, the checkpoint, the metrics and the learning curve of one arm, as files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.deadline import Deadline
from benchmarks.results import CurvePoint
from benchmarks.run_directory import Journal
from pivot_agents.trainers.adapter_trainer import AdapterTrainer


class TrainingLog:
    """What training leaves behind after every step, so that it can stop at any time."""

    def __init__(
        self,
        folder: Path,
        trainer: AdapterTrainer,
        *,
        base_success: float,
        validate: Callable[[], float],
        spent_turns: int = 0,
        spent_s: float = 0.0,
        deadline: Deadline | None = None,
    ) -> None:
        """Take up training where the folder says that it stopped.

        Args:
            folder: Where the files lie.
            trainer: Not trained yet; a checkpoint is loaded into it.
            base_success: Validation success before training, the curve's first point.
            validate: Returns the validation success of the policy as it is.
            spent_turns: Learning turns before training: those of profiling.
            spent_s: Seconds of the same.
            deadline: Asked after every step; by default there is time without end.

        Raises:
            CheckpointError: The checkpoint is damaged or of other settings.
        """
        self._trainer = trainer
        self._validate = validate
        self._spent_s = spent_s
        self._deadline = deadline or Deadline()
        self._checkpoint = folder / "checkpoint.pt"
        self._metrics = Journal(folder / "metrics.jsonl")
        self._curve = Journal(folder / "curve.jsonl")
        if self._checkpoint.exists():
            trainer.load(self._checkpoint)
        self._metrics.rewind(trainer.step)
        self._curve.rewind(trainer.step)
        if not self._curve.read():
            self._add_point(0, 0, 0.0, base_success)
            if spent_turns or spent_s:
                self._add_point(0, spent_turns, spent_s, base_success)

    @property
    def wall_s(self) -> float:
        """Seconds that training took, over all sittings, evaluation left out."""
        return self._sum("wall_s")

    @property
    def cpu_s(self) -> float:
        """Processor seconds of the same, of this process and all its threads."""
        return self._sum("cpu_s")

    @property
    def silent_share(self) -> float | None:
        """Share of the groups that taught nothing, mean over steps; ``None`` without groups."""
        shares = [line["zero_variance_share"] for line in self._metrics.read()]
        known = [float(share) for share in shares if share is not None]
        return sum(known) / len(known) if known else None

    @property
    def curve(self) -> tuple[CurvePoint, ...]:
        """The learning curve so far."""
        return tuple(
            CurvePoint(line["turns"], line["wall_s"], line["success"])
            for line in self._curve.read()
        )

    def keep(self, metrics: Mapping[str, Any]) -> None:
        """Write a step's metrics, then the checkpoint.

        Raises:
            TimeIsUp: Both were written, and the deadline has passed.
        """
        turns = self._trainer.counter.learning.turns
        self._metrics.append({**metrics, "learning_turns": turns})
        self._trainer.save(self._checkpoint)
        self._deadline.check()

    def validate(self, *, every_turns: int = 1) -> None:
        """Add a point to the curve, if ``every_turns`` have passed since the last one's mark."""
        turns = self._trainer.counter.learning.turns
        last = self._curve.read()[-1]
        is_due = turns // every_turns > last["turns"] // every_turns or self._trainer.is_done
        if is_due and last["step"] < self._trainer.step:
            spent_s = self._spent_s + self.wall_s
            self._add_point(self._trainer.step, turns, spent_s, self._validate())

    def _sum(self, name: str) -> float:
        return sum((float(line[name]) for line in self._metrics.read()), 0.0)

    def _add_point(self, step: int, turns: int, wall_s: float, success: float) -> None:
        point = {"step": step, "turns": turns, "wall_s": wall_s, "success": success}
        self._curve.append(point)
