"""ToolResult and Effect, what a tool call led to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What one tool call led to."""

    observation: str
    reward: float = 0.0
    terminated: bool = False
    facts: frozenset[str] = frozenset()
    """What the agent learned, as comparable strings (``"app.py:12"``, ``"test_a=passed"``)."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What an action did, comparable between different texts of the same action."""

    state_digest: str
    """Digest of the environment's state after the action."""
    facts: frozenset[str]
    """What the action showed the agent."""
    terminated: bool

    def covers(self, other: "Effect") -> bool:
        """Tell whether this effect equals ``other``, or shows the agent more on the way."""
        return (
            self.state_digest == other.state_digest
            and self.terminated == other.terminated
            and self.facts >= other.facts
        )
