"""Grading of patches: a prediction is applied to a task's start, and the tests decide."""

from pivot_envs.coding.diff import apply_diff
from pivot_envs.coding.grading import Verdict, grade
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.workspace import Workspace, changed_state
from pivot_envs.errors import TaskError
from pivot_envs.sandbox.base import Sandbox


def grade_patch(
    sandbox: Sandbox, task: CodingTask, workspace: Workspace, patch: str, timeout_s: float
) -> Verdict:
    """Apply a patch to what the task begins from and run the named tests on the result.

    Args:
        sandbox: A started sandbox; what it holds is replaced.
        task: The task.
        workspace: Its workspace.
        patch: Unified diff; nothing for the start itself. One that does not fit passes no test.
        timeout_s: Seconds for all named tests together.

    Raises:
        SandboxError: The sandbox failed.
        TaskError: The task itself does not fit its workspace.
    """
    start = workspace.start_state(task)
    contents = {entry.path: entry.content for entry in start.files if entry.kind == "file"}

    def read(path: str) -> str | None:
        if path not in contents:
            return None
        return start.blobs[contents[path]].decode("utf-8", errors="surrogateescape")

    try:
        changes = apply_diff(patch, read)
    except TaskError:
        named = task.named_tests()
        return Verdict(named, len(named))
    sandbox.load(changed_state(start, changes))
    return grade(sandbox, task, workspace, timeout_s)
