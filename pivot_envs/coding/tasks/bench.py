"""MutantBench, a sandbox that holds a release and tests mutations of it."""

from collections.abc import Sequence
from queue import SimpleQueue

from pivot_envs.coding.gold import Mutation, mutate
from pivot_envs.coding.workspace import Workspace
from pivot_envs.sandbox.base import Sandbox, TestReport


class MutantBench:
    """Runs named tests of a release, whole or with mutations."""

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
        mutations: Sequence[Mutation],
        tests: Sequence[str],
        *,
        timeout_s: float,
        options: Sequence[str] = (),
    ) -> TestReport:
        """Run tests with some mutations, or with none; the release is whole again afterwards.

        Raises:
            SandboxError: The sandbox failed.
            TaskError: A mutation does not fit the release.
        """
        changes = mutate(mutations, self.workspace.read)
        for path, text in changes.items():
            self._sandbox.write_file(path, (text or "").encode())
        try:
            return self._sandbox.run_tests(tests, timeout_s=timeout_s, options=options)
        finally:
            for path in changes:
                self._sandbox.write_file(path, self.workspace.text(path).encode())


def benches_of(
    sandboxes: "SimpleQueue[Sandbox]", workspace: Workspace
) -> "SimpleQueue[MutantBench]":
    """Load a release into started sandboxes."""
    benches: SimpleQueue[MutantBench] = SimpleQueue()
    for _ in range(sandboxes.qsize()):
        benches.put(MutantBench(sandboxes.get(), workspace))
    return benches
