"""An agent as it is written against a chat completion API, with no knowledge of this project.

``python -m benchmarks.api_agent`` prints how many tasks it solves and writes one conversation as
Markdown. All that the loop uses of an environment are its tools and its observations.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

import pivot_envs  # noqa: F401  registers the environments
from benchmarks.repairer import Message, Repairer

Create = Callable[..., Message]
"""As ``client.chat.completions.create(messages=..., tools=...)``, down to the message."""

_SYSTEM = "You repair Python code. Use the tools, one call at a time."
_MOST_SHOWN = 1200


@dataclass(frozen=True)
class Arguments:
    """Let an API-style agent work on coding tasks."""

    tasks: str | None = None
    """Task file or source; by default the tasks that are shipped."""
    split: str | None = None
    """Only tasks of this split."""
    task_ids: tuple[str, ...] = ()
    """Only these tasks."""
    episodes: int = 12
    """Tasks to work on, drawn by the seeds 0, 1, 2, ..."""
    max_turns: int = 40
    """Turns that an episode may take."""
    sandbox: Literal["embedded", "docker"] = "embedded"
    """Which kind of box."""
    out: Path | None = None
    """Markdown file for the shortest conversation that solved its task."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One episode as an API saw it."""

    task_id: str
    messages: tuple[Message, ...]
    """In OpenAI's form, from the system's to the last observation."""
    tools: tuple[dict[str, Any], ...]
    """In OpenAI's form."""
    is_success: bool

    @property
    def turns(self) -> int:
        """How often the agent answered."""
        return sum(message["role"] == "assistant" for message in self.messages)


def converse(env: "gym.Env[str, str]", create: Create, *, seed: int) -> Conversation:
    """Run an episode; every word that ``create`` sees comes from the environment."""
    observation, info = env.reset(seed=seed)
    tools = [tool.as_openai() for tool in env.unwrapped.tools]  # type: ignore[attr-defined]
    messages: list[Message] = [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": observation},
    ]
    is_over = False
    while not is_over:
        answer = create(messages=messages, tools=tools)
        messages.append(answer)
        (call,) = answer["tool_calls"]
        function = call["function"]
        action = {"name": function["name"], "arguments": json.loads(function["arguments"])}
        observation, _, terminated, truncated, info = env.step(json.dumps(action))
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": observation})
        is_over = terminated or truncated
    return Conversation(info["task_id"], tuple(messages), tuple(tools), info["is_success"])


def as_markdown(conversation: Conversation) -> str:
    """Return a conversation as text for people; long observations are cut in the middle."""
    return "\n".join(_paragraphs(conversation))


def _paragraphs(conversation: Conversation) -> Iterator[str]:
    yield f"# A conversation about `{conversation.task_id}`\n"
    yield (
        "Written by `python -m benchmarks.api_agent`. The assistant is "
        "`benchmarks/repairer.py`, which knows only the messages and the tools below, as an "
        "API sends them.\n"
    )
    yield "Tools:\n"
    for tool in conversation.tools:
        yield f"- `{tool['function']['name']}`: {tool['function']['description']}"
    for message in conversation.messages:
        if message["role"] == "assistant":
            function = message["tool_calls"][0]["function"]
            arguments = json.loads(function["arguments"])
            yield f"\n**assistant** calls `{function['name']}`:\n"
            yield _fenced("\n".join(map(str, arguments.values())) or "(no arguments)")
        else:
            yield f"\n**{message['role']}**:\n"
            yield _fenced(message["content"])


def _fenced(text: str) -> str:
    if len(text) > _MOST_SHOWN:
        half = _MOST_SHOWN // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half} characters ...]\n{text[-half:]}"
    return f"````text\n{text}\n````"


def main() -> None:
    """Work on the tasks, print a table, and write the conversation."""
    arguments = tyro.cli(Arguments, description=__doc__)
    console = Console()
    env = gym.make(
        "pivot/Coding-v0",
        tasks=arguments.tasks,
        split=arguments.split,
        task_ids=arguments.task_ids or None,
        max_turns=arguments.max_turns,
        sandbox=arguments.sandbox,
    )
    try:
        conversations = [
            converse(env, Repairer().create, seed=seed)
            for seed in track(range(arguments.episodes), console=Console(stderr=True))
        ]
    finally:
        env.close()
    table = Table("task", "turns", "solved")
    for each in conversations:
        table.add_row(each.task_id, str(each.turns), "yes" if each.is_success else "no")
    console.print(table)
    solved = [each for each in conversations if each.is_success]
    console.print(f"{len(solved)} of {len(conversations)} tasks solved")
    if arguments.out is not None and solved:
        shortest = min(solved, key=lambda each: each.turns)
        arguments.out.write_text(f"{as_markdown(shortest)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
