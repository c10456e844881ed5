"""Every error this project raises on purpose, in one tree.

PivotError
├── ActionError (ValueError)          the agent's text is no valid tool call; shown to the agent
├── SnapshotError (ValueError)        a snapshot is damaged, foreign or of another version
├── RecordError (ValueError)          a trajectory or pivot file is damaged or of another version
├── TaskError (ValueError)            a task or a task file cannot be used
├── ModelError (ValueError)           a path or a hub id holds no causal language model to act with
├── CheckpointError (ValueError)       a checkpoint is damaged or belongs to other settings
├── UnsavableError (ValueError)       the agent left files that no snapshot can hold
├── SourceError (RuntimeError)        a package source cannot be fetched or has no tests
├── StoreError (OSError)              a snapshot store cannot be read or written
└── InfraError (RuntimeError)         our machinery failed; never a reward of 0
    ├── SandboxError                  the sandbox died or answered nonsense
    ├── WorkerError                   the process that holds an environment died
    ├── SandboxUnavailableError       nothing on this machine can isolate a command
    ├── BrowserError                  the browser died, hung, or was lost
    └── BrowserUnavailableError       no browser can be started on this machine

An agent's mistake becomes an observation, our machinery's failure becomes ``info["infra_error"]``.
"""


class PivotError(Exception):
    """Base of all errors raised by this project."""


class ActionError(PivotError, ValueError):
    """The agent's text is not a valid tool call. The message is shown to the agent."""


class SnapshotError(PivotError, ValueError):
    """A snapshot is damaged, belongs to another task or environment, or has another version."""


class RecordError(PivotError, ValueError):
    """A file of trajectories or pivots is damaged or has another format or version."""


class TaskError(PivotError, ValueError):
    """A task or a task file cannot be used."""


class ModelError(PivotError, ValueError):
    """A path or a hub id holds no causal language model with a chat template."""


class CheckpointError(PivotError, ValueError):
    """A checkpoint cannot be written or read, or belongs to another trainer or other settings."""


class UnsavableError(PivotError, ValueError):
    """The workspace cannot be saved for what commands made of it: too deep, too many, too large.

    It is the agent's doing: grading gives 0, and the sandbox can still load a state.
    """


class SourceError(PivotError, RuntimeError):
    """A package's source release cannot be fetched, is damaged, or carries no tests."""


class StoreError(PivotError, OSError):
    """A snapshot store cannot be read or written."""


class InfraError(PivotError, RuntimeError):
    """The project's own machinery failed. Training masks the episode and never scores it 0."""


class ReplayError(SnapshotError, InfraError):
    """A sound snapshot did not come back as it was.

    An episode that was to begin there is masked, as after any failure of the machinery; who
    restores by hand sees a ``SnapshotError``.
    """


class SandboxError(InfraError):
    """The sandbox died, hung, or broke its protocol."""


class WorkerError(InfraError):
    """The process or actor that holds an environment died."""


class SandboxUnavailableError(InfraError):
    """No isolation level works on this machine and ``unsafe=True`` was not given."""


class BrowserError(InfraError):
    """The browser died, hung, or was lost."""


class BrowserUnavailableError(InfraError):
    """No browser can be started on this machine; the message says what to install."""
