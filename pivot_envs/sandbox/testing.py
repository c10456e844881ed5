"""check_sandbox, the contract of a Sandbox as a test that anyone can run on their own.

Each law is a constant and one function; an AssertionError begins with the law that is broken.
"""

from collections.abc import Collection
from contextlib import closing

from pivot_envs.sandbox.command_laws import COMMAND_LAWS, LAW_EMPTY, LAW_FRESH, LAW_TESTS, LAW_WARM
from pivot_envs.sandbox.state_laws import STATE_LAWS
from pivot_envs.sandbox.trial import EMPTY, MakeSandbox, Trial

__all__ = ["LAWS", "TEST_LAWS", "check_sandbox"]

LAWS = {**COMMAND_LAWS, **STATE_LAWS}
"""Every law, in the order in which they are tried."""

TEST_LAWS = (LAW_TESTS, LAW_FRESH, LAW_WARM)
"""Those that ask for Python and pytest in the box."""


def check_sandbox(make_sandbox: MakeSandbox, *, but: Collection[str] = ()) -> None:
    """Check that a sandbox keeps the contract of ``Sandbox``; takes a few seconds.

    Args:
        make_sandbox: Makes a new box, which is not started yet.
        but: Laws that are not tried, such as ``TEST_LAWS`` for a box without Python.

    Raises:
        ValueError: ``but`` names no law.
        AssertionError: A law is broken; the message begins with the law.
        SandboxUnavailableError: No box can be started on this machine.
    """
    if unknown := set(but) - LAWS.keys():
        raise ValueError(f"but must name laws of pivot_envs.sandbox.testing.LAWS, got {unknown}")
    tried = {law: check for law, check in LAWS.items() if law not in but}
    with closing(make_sandbox()) as box:
        box.start()
        trial = Trial(box, make_sandbox)
        for law, check in tried.items():
            try:
                if law != LAW_EMPTY:
                    box.load(EMPTY)
                check(trial)
            except AssertionError as error:
                raise AssertionError(f"{law}: {error}") from error
            except Exception as error:
                raise AssertionError(f"{law}: {type(error).__name__}: {error}") from error
