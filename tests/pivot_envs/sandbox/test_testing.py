"""check_sandbox against boxes that keep the contract, and against boxes broken in one way each."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pivot_envs.errors import SandboxError
from pivot_envs.sandbox import command_laws, state_laws
from pivot_envs.sandbox.base import CommandResult, FileEntry, Sandbox, SandboxState, TestReport
from pivot_envs.sandbox.embedded import EmbeddedSandbox
from pivot_envs.sandbox.testing import LAWS, check_sandbox

Change = Callable[[FileEntry], FileEntry | None]


def test_boxes_of_every_kind_keep_the_contract(make_box: Callable[..., Sandbox]) -> None:
    check_sandbox(make_box)


class LosesEntries(EmbeddedSandbox):
    """Loads a state without some of its entries, or with others."""

    def change(self, entry: FileEntry) -> FileEntry | None:
        return entry

    def load(self, state: SandboxState) -> None:
        files = tuple(new for entry in state.files if (new := self.change(entry)))
        super().load(replace(state, files=files))


class LosesContent(LosesEntries):
    def change(self, entry: FileEntry) -> FileEntry | None:
        return None if "udcff" in ascii(entry.path) else entry


class LosesModes(LosesEntries):
    def change(self, entry: FileEntry) -> FileEntry | None:
        return replace(entry, mode=entry.mode & 0o777 if entry.kind == "directory" else entry.mode)


class LosesDanglingLinks(LosesEntries):
    def change(self, entry: FileEntry) -> FileEntry | None:
        return None if entry.content == "/nowhere" else entry


class LosesEmptyFolders(LosesEntries):
    def change(self, entry: FileEntry) -> FileEntry | None:
        return None if entry.path.endswith("/empty") else entry


class KeepsNewFiles(EmbeddedSandbox):
    def load(self, state: SandboxState) -> None:
        kept = b""
        with contextlib.suppress(FileNotFoundError):
            kept = self.read_file("more")
        super().load(state)
        if kept:
            self.write_file("more", kept)


class LosesTheShell(EmbeddedSandbox):
    def load(self, state: SandboxState) -> None:
        super().load(replace(state, shell=""))


class TouchesSavedFiles(EmbeddedSandbox):
    def save(self) -> SandboxState:
        state = super().save()
        if state.files:
            self.run("touch .saved", timeout_s=5)
        return state


class LeavesProcesses(EmbeddedSandbox):
    """Starts again what a load has ended."""

    _command = ""

    def run(self, command: str, *, timeout_s: float) -> CommandResult:
        self._command = command if "sleep" in command else self._command
        return super().run(command, timeout_s=timeout_s)

    def load(self, state: SandboxState) -> None:
        super().load(state)
        if "setsid" in self._command and "echo begun" not in self._command:
            super().run(f"{self._command}; /bin/sleep 0.3", timeout_s=5)


class IgnoresTimeouts(EmbeddedSandbox):
    def run(self, command: str, *, timeout_s: float) -> CommandResult:
        if "begun" in command:
            super().run(command.replace("& wait", "&"), timeout_s=timeout_s)
            return CommandResult("begun\n", None, timed_out=True)
        return super().run(command, timeout_s=timeout_s)


class RaisesOnFailure(EmbeddedSandbox):
    def run(self, command: str, *, timeout_s: float) -> CommandResult:
        result = super().run(command, timeout_s=timeout_s)
        if result.exit_code == 127:
            raise SandboxError("the command failed")
        return result


class ForgetsTheShell(EmbeddedSandbox):
    def run(self, command: str, *, timeout_s: float) -> CommandResult:
        return super().run(f"({command}\n)", timeout_s=timeout_s)


class MiscountsOutput(EmbeddedSandbox):
    def run(self, command: str, *, timeout_s: float) -> CommandResult:
        return replace(super().run(command, timeout_s=timeout_s), omitted_bytes=0)


class MakesFilesAnew(EmbeddedSandbox):
    def write_file(self, path: str, content: bytes) -> None:
        if ".." not in path and path.endswith("er/file"):
            self.run(f"rm -f '{path}'", timeout_s=5)
        super().write_file(path, content)


class FollowsLinks(EmbeddedSandbox):
    def read_file(self, path: str) -> bytes:
        return b"root" if path == "link" else super().read_file(path)


class AcceptsDamage(EmbeddedSandbox):
    def load(self, state: SandboxState) -> None:
        files = tuple(entry for entry in state.files if not entry.path.startswith("../"))
        super().load(replace(state, files=files))


class BelievesExitCodes(EmbeddedSandbox):
    def run_tests(
        self, test_ids: Sequence[str], *, timeout_s: float, options: Sequence[str] = ()
    ) -> TestReport:
        report = super().run_tests(test_ids, timeout_s=timeout_s, options=options)
        found = dict.fromkeys(test_ids, "passed") if not report.outcomes else report.outcomes
        return replace(report, outcomes=found)


class RunsStaleTests(EmbeddedSandbox):
    _first: TestReport | None = None

    def run_tests(
        self, test_ids: Sequence[str], *, timeout_s: float, options: Sequence[str] = ()
    ) -> TestReport:
        report = super().run_tests(test_ids, timeout_s=timeout_s, options=options)
        if test_ids == ["test_fresh.py"]:
            self._first = self._first or report
            return self._first
        return report


class ColoursWarmRuns(EmbeddedSandbox):
    def run(self, command: str, *, timeout_s: float) -> CommandResult:
        if command.startswith("python -m pytest") and ";" not in command:
            command += " --color=yes"
        return super().run(command, timeout_s=timeout_s)


class StartsFull(EmbeddedSandbox):
    def start(self) -> None:
        super().start()
        self.write_file("README", b"")


class AnswersWhenClosed(EmbeddedSandbox):
    def run(self, command: str, *, timeout_s: float) -> CommandResult:
        try:
            return super().run(command, timeout_s=timeout_s)
        except SandboxError:
            return CommandResult("", 1)


class SavesWhatItLoaded(EmbeddedSandbox):
    """Returns the loaded state once more, without the last of its entries."""

    _loaded: SandboxState | None = None

    def load(self, state: SandboxState) -> None:
        super().load(state)
        self._loaded = state if state.files else None

    def save(self) -> SandboxState:
        state = super().save()
        return state if self._loaded is None else replace(state, files=state.files[:-1])


class OnlyAtHome(EmbeddedSandbox):
    """Loads a shell other than the one it knows, which only itself saved."""

    def save(self) -> SandboxState:
        self._last = super().save()
        return self._last

    def load(self, state: SandboxState) -> None:
        known = getattr(self, "_last", None)
        super().load(state if known is not None else replace(state, shell=""))


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (StartsFull, command_laws.LAW_EMPTY),
        (RaisesOnFailure, command_laws.LAW_RESULT),
        (ForgetsTheShell, command_laws.LAW_SHELL),
        (MakesFilesAnew, command_laws.LAW_FILES),
        (FollowsLinks, command_laws.LAW_OUTSIDE),
        (MiscountsOutput, command_laws.LAW_CLIPPED),
        (IgnoresTimeouts, command_laws.LAW_TIMEOUT),
        (BelievesExitCodes, command_laws.LAW_TESTS),
        (RunsStaleTests, command_laws.LAW_FRESH),
        (ColoursWarmRuns, command_laws.LAW_WARM),
        (AnswersWhenClosed, command_laws.LAW_CLOSED),
        (TouchesSavedFiles, state_laws.LAW_UNDISTURBED),
        (LosesContent, state_laws.LAW_CONTENT),
        (LosesModes, state_laws.LAW_MODES),
        (LosesDanglingLinks, state_laws.LAW_SYMLINKS),
        (KeepsNewFiles, state_laws.LAW_DELETIONS),
        (LosesEmptyFolders, state_laws.LAW_EMPTY_FOLDERS),
        (SavesWhatItLoaded, state_laws.LAW_EQUAL),
        (LosesTheShell, state_laws.LAW_SHELL_STATE),
        (LeavesProcesses, state_laws.LAW_BACKGROUND),
        (OnlyAtHome, state_laws.LAW_MOVES),
        (AcceptsDamage, state_laws.LAW_DAMAGED),
    ],
)
def test_a_broken_box_is_found_out_by_the_law_that_it_breaks(
    broken: type[EmbeddedSandbox], law: str
) -> None:
    # One law at a time, so that this takes seconds.
    with pytest.raises(AssertionError) as caught:
        check_sandbox(broken, but=LAWS.keys() - {law})
    assert str(caught.value).startswith(law)


def test_only_laws_that_exist_can_be_left_out() -> None:
    with pytest.raises(ValueError, match="must name laws"):
        check_sandbox(EmbeddedSandbox, but=["a box is blue"])
