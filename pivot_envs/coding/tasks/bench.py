"""MutantBench, a sandbox that holds a release and tests one mutation of it at a time."""

from collections.abc import Sequence
from queue import SimpleQueue

from pivot_envs.coding.gold import Mutation, apply_mutation
from pivot_envs.coding.workspace import Workspace
from pivot_envs.sandbox.base import Sandbox, TestReport


class MutantBench:
    """Runs named tests of a release, whole or with one mutation."""

    def __init__(self, sandbox: Sandbox, workspace: Workspace) -> None:
        """Load the release into a started sandbox.

        Raises:
            SandboxError: The sandbox failed.
        """
        self._sandbox = sandbox
        self.workspace = workspace
        """The release, whole."""
        self.clean()

    def clean(self) -> None:
        """Remove whatever tests have left in the workspace.

        Raises:
            SandboxError: The sandbox failed.
        """
        self._sandbox.load(self.workspace.state)

    def run(
        self,
        mutation: Mutation | None,
        tests: Sequence[str],
        *,
        timeout_s: float,
        options: Sequence[str] = (),
    ) -> TestReport:
        """Run tests with a mutation, or without one; the release is whole again afterwards.

        Raises:
            SandboxError: The sandbox failed.
        """
        if mutation is None:
            return self._sandbox.run_tests(tests, timeout_s=timeout_s, options=options)
        text = self.workspace.text(mutation.path)
        self._sandbox.write_file(mutation.path, apply_mutation(text, mutation).encode())
        try:
            return self._sandbox.run_tests(tests, timeout_s=timeout_s, options=options)
        finally:
            self._sandbox.write_file(mutation.path, text.encode())


def benches_of(
    sandboxes: "SimpleQueue[Sandbox]", workspace: Workspace
) -> "SimpleQueue[MutantBench]":
    """Load a release into started sandboxes."""
    benches: SimpleQueue[MutantBench] = SimpleQueue()
    for _ in range(sandboxes.qsize()):
        benches.put(MutantBench(sandboxes.get(), workspace))
    return benches
