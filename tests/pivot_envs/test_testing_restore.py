"""check_pivot_env: it names the law that a broken snapshot or restore breaks."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pivot_envs import testing
from pivot_envs.core import ToolResult
from pivot_envs.drill import DrillEnv
from pivot_envs.errors import SnapshotError
from pivot_envs.snapshot import Snapshot, sha256
from pivot_envs.tools import ToolCall


class ForgetfulEnv(DrillEnv):
    """Forgets in ``_save`` that the agent has looked."""

    def _save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        return {"looked": False}, {}


class AbruptEnv(DrillEnv):
    """Ends a resumed episode at the first look."""

    resumed = False

    def _load(self, *args: Any) -> None:
        self.resumed = True
        super()._load(*args)

    def _act(self, call: ToolCall) -> ToolResult:
        return replace(super()._act(call), terminated=self.resumed or call.name == "answer")


class InstanceBoundEnv(DrillEnv):
    """Keeps what it saves to itself."""

    def __init__(self) -> None:
        super().__init__()
        self._saved: dict[str, Any] = {}

    def _save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        key = str(self._looked)
        self._saved[key] = super()._save()[0]
        return {"key": key}, {}

    def _load(self, task_id: str, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> None:
        super()._load(task_id, self._saved[state["key"]], blobs)


class FreshBudgetEnv(DrillEnv):
    """Gives a resumed episode its whole horizon again."""

    def _resume(self, snapshot: Snapshot) -> None:
        super()._resume(snapshot)
        self._elapsed_turns = 0


class ExtendedBudgetEnv(DrillEnv):
    """Reports the elapsed turns rightly and allows more of them after each restore."""

    def _resume(self, snapshot: Snapshot) -> None:
        super()._resume(snapshot)
        self.max_turns += snapshot.elapsed_turns


class TrustingEnv(DrillEnv):
    """Never looks whether a snapshot was changed."""

    def _check_belongs(self, snapshot: Snapshot) -> None:
        if not isinstance(snapshot, Snapshot):
            raise SnapshotError("expected a Snapshot")


class CrashingEnv(DrillEnv):
    """Meets a damaged state with an error of its own."""

    def _load(self, task_id: str, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> None:
        assert state
        super()._load(task_id, state, blobs)


class RigidEnv(DrillEnv):
    """Does not restore the generator."""

    def _resume(self, snapshot: Snapshot) -> None:
        generator = self.np_random
        super()._resume(snapshot)
        self.np_random = generator


class DisturbedEnv(DrillEnv):
    """Changes when it is saved."""

    saves = 0

    def _save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        self.saves += 1
        return super()._save()

    def _act(self, call: ToolCall) -> ToolResult:
        return ToolResult(str(self.saves))


class ListeningEnv(DrillEnv):
    """Keeps its state in a set, which is no JSON."""

    def _save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        return {"looked": {self._looked}}, {}


class TupleEnv(DrillEnv):
    """Keeps its state in a tuple, which JSON gives back as a list."""

    def _save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        return {"looked": self._looked, "pair": (1, 2)}, {}


class LiveStateEnv(DrillEnv):
    """Hands out its own state to be saved."""

    def _begin(self, task_id: str | None) -> tuple[str, str]:
        self._live: dict[str, Any] = {"looked": False}
        return super()._begin(task_id)

    def _act(self, call: ToolCall) -> ToolResult:
        result = super()._act(call)
        self._live["looked"] = self._looked
        return result

    def _save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        return self._live, {}


class EagerEnv(DrillEnv):
    """Saves what is not running."""

    def snapshot(self) -> Snapshot:
        self._running = True
        return super().snapshot()

    def _task_hash(self, task_id: str) -> str:
        return sha256(task_id.encode())


@pytest.mark.parametrize(
    ("env_class", "law"),
    [
        (ForgetfulEnv, testing.LAW_SAME_ENV),
        (AbruptEnv, testing.LAW_SAME_ENV),
        (InstanceBoundEnv, testing.LAW_SECOND_ENV),
        (FreshBudgetEnv, testing.LAW_HORIZON),
        (ExtendedBudgetEnv, testing.LAW_HORIZON),
        (TrustingEnv, testing.LAW_DAMAGED),
        (CrashingEnv, testing.LAW_DAMAGED),
        (RigidEnv, testing.LAW_NP_RANDOM),
        (DisturbedEnv, testing.LAW_UNDISTURBED),
        (ListeningEnv, testing.LAW_JSON),
        (TupleEnv, testing.LAW_JSON),
        (LiveStateEnv, testing.LAW_LASTING),
        (EagerEnv, testing.LAW_NO_EPISODE),
    ],
)
def test_a_broken_restore_is_caught_with_the_law_it_breaks(
    env_class: type[DrillEnv], law: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        testing.check_pivot_env(env_class, check_process=False)
    assert str(caught.value).startswith(law)


def test_an_environment_that_lives_in_its_process_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
        from pivot_envs.drill import DrillEnv
        SAVED = {}

        class ProcessBoundEnv(DrillEnv):
            def _save(self):
                SAVED[self.task_id, self._looked] = super()._save()[0]
                return {"key": [self.task_id, self._looked]}, {}

            def _load(self, task_id, state, blobs):
                super()._load(task_id, SAVED[tuple(state["key"])], blobs)
        """
    lines = (line.removeprefix("        ") for line in source.splitlines())
    (tmp_path / "process_bound_env.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    from process_bound_env import ProcessBoundEnv

    testing.check_pivot_env(ProcessBoundEnv, check_process=False)
    with pytest.raises(AssertionError) as caught:
        testing.check_pivot_env(ProcessBoundEnv)
    assert str(caught.value).startswith(testing.LAW_PROCESS)
    sys.modules.pop("process_bound_env")
