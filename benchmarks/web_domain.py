"""WebDomain, a handful of MiniWoB++ tasks in a real browser, and baselines that read no page."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium as gym

from benchmarks.protocol import Protocol, TaskDraw, drill_ids
from pivot_agents.env_host import MakeEnv
from pivot_agents.llm import LLMPolicy
from pivot_agents.policy import Completion, Context, Policy, ScriptedPolicy
from pivot_envs import Message, ToolCall
from pivot_envs.web.miniwob.suite import MiniWobSuite
from pivot_envs.web.toolbox import toolbox

KNOWN = (
    "email-inbox",
    "email-inbox-delete",
    "email-inbox-forward-nl",
    "email-inbox-forward-nl-turk",
    "email-inbox-nl-turk",
    "email-inbox-reply",
    "email-inbox-star-reply",
)
"""Templates that the arms learn from, tasks in one email client: those of them at which the shipped
base succeeds less than nine times in ten (``results/email-templates.json``)."""

UNSEEN = ("click-checkboxes-soft", "click-tab-2-easy", "login-user-popup", "focus-text-2")
"""Templates that neither the base nor an arm has seen."""

ELSEWHERE = (
    "choose-list",
    "click-button",
    "click-checkboxes",
    "click-checkboxes-large",
    "click-checkboxes-transfer",
    "click-collapsible",
    "click-collapsible-2",
    "click-dialog-2",
    "click-link",
    "click-menu",
    "click-option",
    "click-scroll-list",
    "click-tab-2",
    "click-widget",
    "enter-date",
    "enter-password",
    "enter-text",
    "enter-text-2",
    "enter-text-dynamic",
    "enter-time",
    "find-word",
    "focus-text",
    "form-sequence",
    "form-sequence-2",
    "grid-coordinate",
    "login-user",
    "multi-layouts",
    "multi-orderings",
    "navigate-tree",
    "read-table",
    "read-table-2",
    "scroll-text",
    "search-engine",
    "social-media-some",
    "use-autocomplete",
    "use-spinner",
)
"""Templates that the base knows and no arm is trained on, to see what is forgotten of them: those
of ``results/mixed-templates.json`` that are not ``KNOWN``."""

OBSERVATION_CHARS = 700
"""Longest page in the corpus and in the benchmarks, in characters."""

FIRST_SEEDS = {
    "train": 53_000,
    "validation": 63_000,
    "test": 73_000,
    "unseen": 83_000,
    "elsewhere": 93_000,
}
"""Where the seeds of each set begin; the base is pretrained on seeds from 100,000 on."""

WITHHELD = "[withheld]"
_LINE = re.compile(r'\[(\d+)\] (\w+)(?: "((?:[^"\\]|\\.)*)")?([^\[\n]*)')


class WebDomain:
    """``pivot/Web-v0`` on templates of MiniWoB++."""

    name = "web"
    sets: Mapping[str, str] = {
        "test": "unseen instances of known tasks",
        "unseen": "tasks that were never trained on",
    }

    def __init__(self) -> None:
        self.tools = toolbox(MiniWobSuite.tools)

    def draw(self, protocol: Protocol) -> TaskDraw:
        """Draw instances of the templates by turns."""
        sizes = {
            "train": protocol.demonstrations,
            "validation": protocol.validation_tasks,
            "test": protocol.test_tasks,
            "unseen": protocol.unseen_tasks,
            "elsewhere": protocol.elsewhere_tasks,
        }
        templates = {"unseen": UNSEEN, "elsewhere": ELSEWHERE}
        sets = {
            name: _instances(templates.get(name, KNOWN), FIRST_SEEDS[name], size)
            for name, size in sizes.items()
        }
        return TaskDraw(**sets, drills=drill_ids(protocol))

    def env_maker(self, task_ids: Sequence[str], protocol: Protocol) -> MakeEnv:
        """Return what makes one web environment with a browser page of its own."""
        return partial(
            gym.make,
            "pivot/Web-v0",
            suite="miniwob",
            tasks=tuple(task_ids),
            max_turns=protocol.max_turns,
            max_observation_chars=OBSERVATION_CHARS,
            disable_env_checker=True,
        )

    def demonstrator(self, seed: int) -> Policy:
        """Return the expert, which reads the goal and the page."""
        from pivot_agents.web_expert import MiniWobExpert

        return MiniWobExpert(seed=seed)

    def baselines(self, base: LLMPolicy) -> Mapping[str, Callable[[], Policy]]:
        """Return random valid actions, and the base that sees no page."""
        return {"random action": RandomUser, "base, page withheld": lambda: WithoutPage(base)}

    def nothing(self) -> Policy:
        """Return the policy that only waits: these tasks have no other end."""
        wait = ToolCall("scroll", {"dy": 0}).as_text()
        return ScriptedPolicy(lambda _: wait)

    def identity(self) -> Mapping[str, Any]:
        """Return the hashes of the task pages."""
        suite = MiniWobSuite()
        return {"pages": {name: suite.task_hash(name) for name in (*KNOWN, *UNSEEN, *ELSEWHERE)}}


def _instances(templates: Sequence[str], first_seed: int, count: int) -> tuple[str, ...]:
    size = len(templates)
    return tuple(
        f"{templates[index % size]}#{first_seed + index // size}" for index in range(count)
    )


class RandomUser:
    """Acts on random elements of the page in ways that they allow.

    It types words that the goal quotes, so that only knowing where and when is left to chance.
    """

    def __init__(self, *, seed: int = 0) -> None:
        """Create the baseline.

        Args:
            seed: Seed of all its draws.
        """
        self._random = random.Random(seed)

    def act(self, contexts: Sequence[Context]) -> Sequence[Completion]:
        """Answer each context with a random action that its newest observation allows."""
        return [Completion(self._next_call(context.messages).as_text()) for context in contexts]

    def _next_call(self, messages: Sequence[Message]) -> ToolCall:
        elements = _LINE.findall(messages[-1].content)
        if not elements:
            return ToolCall("scroll", {"dy": 100})
        ref, role, _, state = self._random.choice(elements)
        options = state.partition("options: ")[2]
        if role in ("combobox", "listbox") and options:
            option = self._random.choice(options.split(" | ")).strip()
            return ToolCall("select", {"ref": int(ref), "option": option})
        if role in ("textbox", "searchbox", "spinbutton"):
            goal = messages[0].content.partition("\n\n")[0]
            words = re.findall(r'"([^"]*)"', goal) or goal.split()
            return ToolCall("fill", {"ref": int(ref), "text": self._random.choice(words)})
        return ToolCall("click", {"ref": int(ref)})


class WithoutPage:
    """Another policy that sees the goal and its own actions, and no page.

    What it still achieves was not achieved by reading the page.
    """

    def __init__(self, policy: Policy) -> None:
        """Wrap a policy."""
        self._policy = policy

    def act(self, contexts: Sequence[Context]) -> Sequence[Completion]:
        """Answer each context as the policy does when the pages are withheld."""
        return self._policy.act([_withhold(context) for context in contexts])


def _withhold(context: Context) -> Context:
    first, *later = context.messages
    goal = first.content.partition("\n\n")[0]
    messages = (
        replace(first, content=f"{goal}\n\n{WITHHELD}"),
        *(replace(one, content=WITHHELD) if one.role == "tool" else one for one in later),
    )
    # Token ids of earlier turns would bring the pages back.
    return replace(context, messages=messages, prefix_ids=(), prefix_messages=0)
