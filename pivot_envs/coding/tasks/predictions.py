"""Predictions, an agent's work as SWE-bench's harness reads it: one patch a task, one line each."""

import json
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from pivot_envs.coding.git import Commit, git, write_commits
from pivot_envs.coding.task_file import read_text
from pivot_envs.coding.tasks.instance import json_rows
from pivot_envs.errors import TaskError
from pivot_envs.sandbox.base import FileEntry, SandboxState

_LEFT_OUT = frozenset((".git", "__pycache__", ".pytest_cache"))


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model did to an instance's repository."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

    instance_id: str
    model_name_or_path: str
    model_patch: str
    """Diff from the base commit, as git writes it; empty if nothing was changed."""

    def as_line(self) -> str:
        """Return the JSON line."""
        return json.dumps(
            {
                "instance_id": self.instance_id,
                "model_name_or_path": self.model_name_or_path,
                "model_patch": self.model_patch,
            }
        )


def write_predictions(path: str | Path, predictions: Iterable[Prediction]) -> None:
    """Write a predictions file, as ``swebench.harness.run_evaluation`` takes it.

    Raises:
        OSError: The file cannot be written.
    """
    lines = [f"{prediction.as_line()}\n" for prediction in predictions]
    Path(path).write_text("".join(lines), encoding="utf-8")


def read_predictions(path: str | Path) -> tuple[Prediction, ...]:
    """Read a predictions file: JSON Lines, or one JSON list.

    Raises:
        TaskError: It cannot be read, or a prediction is wrong; the message names line and field.
    """
    path = Path(path)
    predictions: dict[str, Prediction] = {}
    for place, row in json_rows(path, read_text(path)):
        try:
            if isinstance(row, ValueError):
                raise TaskError(f"{place}: no JSON: {row}")
            prediction = _adapter().validate_python(row)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"]))
            about = f", field {field}" if field else ""
            raise TaskError(f"{place}{about}: {first['msg']}") from error
        if prediction.instance_id in predictions:
            raise TaskError(f"{place}: {prediction.instance_id!r} is predicted twice")
        predictions[prediction.instance_id] = prediction
    return tuple(predictions.values())


@cache
def _adapter() -> TypeAdapter[Prediction]:
    return TypeAdapter(Prediction)


def state_patch(
    before: SandboxState, after: SandboxState, *, left_out: Collection[str] = ()
) -> str:
    """Return the diff from one state of a workspace to another, as git writes it.

    Caches and the repository's own files are left out. A change of bytes that are no text is
    there in git's binary form.

    Args:
        before: The workspace at the base commit.
        after: The workspace as the agent left it.
        left_out: Files whose changes do not count, such as the grader's tests.

    Raises:
        SourceError: There is no git, or it fails.
    """
    old, new = _entries(before, left_out), _entries(after, left_out)
    changed = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    if not changed:
        return ""
    with tempfile.TemporaryDirectory(prefix="pivot-patch-") as folder:
        commits = (_commit(before, old, changed), _commit(after, new, changed))
        git_folder = Path(folder) / "changes.git"
        ids = write_commits(git_folder, commits, branch="main")
        options = ("--binary", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv")
        patch = git(git_folder, "diff-tree", "-p", *options, *ids)
    return patch.decode("utf-8", errors="surrogateescape")


def _entries(state: SandboxState, left_out: Collection[str]) -> dict[str, FileEntry]:
    """Return files and links by path; of a file's mode, git keeps only whether it is a program."""
    entries = {}
    for entry in state.files:
        if entry.kind == "directory" or entry.path in left_out:
            continue
        if not _LEFT_OUT.intersection(entry.path.split("/")):
            mode = 0o755 if entry.mode & 0o100 else 0o644
            entries[entry.path] = FileEntry(entry.path, entry.kind, mode, entry.content)
    return entries


def _commit(state: SandboxState, entries: dict[str, FileEntry], changed: Collection[str]) -> Commit:
    kept = [entry for path, entry in sorted(entries.items()) if path in changed]
    return Commit(
        message="state",
        files={each.path: state.blobs[each.content] for each in kept if each.kind == "file"},
        modes={each.path: each.mode for each in kept},
        links={each.path: each.content for each in kept if each.kind == "symlink"},
    )
