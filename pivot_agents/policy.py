"""Policy, the protocol of everything that acts, and what goes in and out of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pivot_envs import Message, ToolSpec


@dataclass(frozen=True, slots=True)
class Context:
    """What a policy sees before one action."""

    messages: tuple[Message, ...]
    """The conversation so far; the last message is the newest observation."""
    tools: tuple[ToolSpec, ...]
    task_id: str = ""
    prefix_ids: tuple[int, ...] = ()
    """Token ids that the first ``prefix_messages`` messages had when they were sampled, so that
    a policy that works in tokens never encodes its own completions again."""
    prefix_messages: int = 0
    turns_left: int | None = None
    """Turns that remain, this one included; ``None`` if nobody knows."""
    draw_key: tuple[int, int] | None = None
    """Key of the random draws for this action, both in [0, 2**64): the same key draws the same,
    whatever else is in the batch. ``None`` leaves the draws to the policy."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a policy answers: the action text and, from token policies, how it was sampled."""

    text: str
    token_ids: tuple[int, ...] = ()
    """Sampled token ids, with the end-of-turn token if it was sampled."""
    logprobs: tuple[float, ...] = ()
    """Natural-log probability of each sampled token under the sampling distribution at T=1."""
    prompt_ids: tuple[int, ...] = ()
    """Token ids of the whole context that the completion follows."""


class Policy(Protocol):
    """Anything with ``act``; a custom agent is a class with this one method."""

    def act(self, contexts: Sequence[Context]) -> Sequence[Completion]:
        """Answer each context with one completion, in order."""
        ...


class ScriptedPolicy:
    """A policy that a function writes, such as an expert that demonstrates."""

    def __init__(self, script: Callable[[Context], str]) -> None:
        """Wrap ``script``, which maps a context to an action text."""
        self._script = script

    def act(self, contexts: Sequence[Context]) -> Sequence[Completion]:
        """Answer each context with the script's text; no tokens are recorded."""
        return [Completion(self._script(context)) for context in contexts]
