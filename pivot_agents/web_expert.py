"""MiniWobExpert, the demonstrator of MiniWoB++: one script a template, from what an agent reads."""

from collections.abc import Mapping, Sequence

from pivot_agents.miniwob import buttons, choices, fields, inbox, reading, shapes, widgets
from pivot_agents.miniwob.scene import Scene, Script, Step
from pivot_agents.miniwob.screen import LostError, Screen
from pivot_agents.policy import Completion, Context
from pivot_envs import ToolCall
from pivot_envs.errors import ActionError
from pivot_envs.tools import parse_action

_SCRIPTS: Mapping[str, Script] = {
    **buttons.SCRIPTS,
    **choices.SCRIPTS,
    **fields.SCRIPTS,
    **inbox.SCRIPTS,
    **reading.SCRIPTS,
    **shapes.SCRIPTS,
    **widgets.SCRIPTS,
}


class MiniWobExpert:
    """Does MiniWoB++ tasks with one script a template, in more than one valid way.

    It reads what an agent reads, never the page: the goal, the newest observation, and what it did
    before. Orders, ways (a click, or Tab and Enter) and detours are drawn from the seed and the
    task, so that one seed gives one demonstration per task. It decides from the state it finds, so
    it can go on from wherever an episode stands. What it does not find it scrolls for.
    """

    templates: tuple[str, ...] = tuple(sorted(_SCRIPTS))
    """The templates that it knows."""

    def __init__(self, *, seed: int = 0) -> None:
        """Create the expert; the seed decides which of the valid ways it takes."""
        self._seed = seed

    def act(self, contexts: Sequence[Context]) -> list[Completion]:
        """Answer each context with the next step of a demonstration.

        Raises:
            ValueError: A context's ``task_id`` is of no template that the expert knows.
        """
        return [Completion(self._next_call(context).as_text()) for context in contexts]

    def _next_call(self, context: Context) -> ToolCall:
        template = context.task_id.partition("#")[0]
        if template not in _SCRIPTS:
            raise ValueError(
                f"no script for the task {context.task_id!r}; there are scripts for "
                f"{', '.join(self.templates)}"
            )
        scene = _read(context, f"{self._seed} {context.task_id}")
        try:
            return _SCRIPTS[template](scene)
        except (LostError, LookupError, StopIteration):
            return ToolCall("scroll", {"dy": 100})


def _read(context: Context, key: str) -> Scene:
    """Return the scene of a conversation: the task, then actions and observations in turn."""
    messages = context.messages
    begin = next(index for index, message in enumerate(messages) if message.role == "user")
    goal, _, text = messages[begin].content.partition("\n\n")
    screen = Screen(text)
    steps = []
    for message in messages[begin + 1 :]:
        if message.role != "assistant":
            screen = Screen(message.content)
            continue
        try:
            steps.append(Step(screen, parse_action(message.content, context.tools)))
        except ActionError:
            continue
    return Scene(goal, screen, tuple(steps), key)
