"""MutantBench, a sandbox that holds a release and tests one mutation of it at a time."""

from collections.abc import Sequence

from pivot_envs.coding.task import Mutation
from pivot_envs.coding.workspace import Workspace, apply_mutation
from pivot_envs.sandbox.base import Sandbox, TestReport


class MutantBench:
    """Runs named tests of a release, whole or with one mutation; nothing is left behind."""

    def __init__(self, sandbox: Sandbox, workspace: Workspace) -> None:
        """Use a started sandbox; ``prepare`` fills it."""
        self._sandbox = sandbox
        self.workspace = workspace
        """The release, whole."""

    def prepare(self) -> None:
        """Load the release and compile its tests, which no mutation changes.

        pytest rewrites the assertions of a test file each time it finds no bytecode for it; for
        a large file that takes ten times as long as everything else in a run.

        Raises:
            SandboxError: The sandbox failed.
        """
        self._sandbox.load(self.workspace.state)
        places = " ".join(self.workspace.source.test_dirs)
        packages = " ".join(self.workspace.source.package_dirs)
        self._sandbox.run(
            "env PYTHONDONTWRITEBYTECODE= "
            f"python -m pytest --collect-only -q -p no:cacheprovider {places} >/dev/null; "
            # Bytecode of the package could be as old as the source it is compared with.
            f"find {packages} -name '*.pyc' -path '*/__pycache__/*' ! -name '*pytest*' -delete",
            timeout_s=120,
        )

    def run(
        self, mutation: Mutation | None, tests: Sequence[str], *, timeout_s: float
    ) -> TestReport:
        """Run tests with a mutation, or without one.

        Raises:
            SandboxError: The sandbox failed.
        """
        if mutation is None:
            return self._sandbox.run_tests(tests, timeout_s=timeout_s)
        text = self.workspace.text(mutation.path)
        self._sandbox.write_file(mutation.path, apply_mutation(text, mutation).encode())
        try:
            return self._sandbox.run_tests(tests, timeout_s=timeout_s)
        finally:
            self._sandbox.write_file(mutation.path, text.encode())
