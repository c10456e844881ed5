import ast
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from benchmarks import repairer
from benchmarks.api_agent import Conversation, as_markdown, converse
from benchmarks.repairer import Repairer
from pivot_envs.coding.toolbox import TOOLS
from pivot_envs.errors import SandboxUnavailableError, SourceError

TASK = "sqlparse-0.5.3/sql.TokenList.has_alias/91d3ebe6"


@pytest.fixture(scope="module")
def conversation() -> Conversation:
    """One that solves a task of the shipped ones."""
    env = gym.make("pivot/Coding-v0", task_ids=[TASK], max_turns=40)
    try:
        return converse(env, Repairer().create, seed=0)
    except (SandboxUnavailableError, SourceError) as error:
        pytest.skip(str(error))
    finally:
        env.close()


@pytest.mark.timeout(600)
def test_an_agent_that_knows_only_tools_and_observations_solves_a_task(
    conversation: Conversation,
) -> None:
    assert conversation.task_id == TASK
    assert conversation.is_success
    roles = [message["role"] for message in conversation.messages]
    assert roles[:2] == ["system", "user"]
    assert roles[2:] == ["assistant", "tool"] * conversation.turns


@pytest.mark.timeout(600)
def test_a_conversation_is_text_for_people(conversation: Conversation) -> None:
    text = as_markdown(conversation)
    assert TASK in text
    assert text.count("**assistant** calls") == conversation.turns
    assert "submitted: " in text


def test_the_committed_transcript_is_of_a_solved_task() -> None:
    text = (Path(__file__).parents[2] / "docs" / "api-agent.md").read_text()
    numbers = [line for line in text.splitlines() if line.startswith("submitted: ")]
    passed, total = (int(word) for word in numbers[-1].split() if word.isdigit())
    assert passed == total


def test_the_stand_in_knows_nothing_of_the_project() -> None:
    tree = ast.parse(Path(repairer.__file__).read_text())
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    assert imported == {"json", "re", "collections", "typing"}


def test_it_finds_the_tools_by_what_they_say() -> None:
    tools: list[dict[str, Any]] = [
        {
            "type": "function",
            "function": {
                "name": "zzz",
                "description": "Submit the work.",
                "parameters": {"type": "object", "properties": {}},
            },
        },
        {
            "type": "function",
            "function": {
                "name": "yyy",
                "description": "Run it.",
                "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}},
            },
        },
    ]
    agent = Repairer()
    message = {"role": "user", "content": "tests/test_a.py::test_b fails"}
    call = agent.create(messages=[message], tools=tools)["tool_calls"][0]["function"]
    assert call["name"] == "yyy"
    assert "tests/test_a.py::test_b" in json.loads(call["arguments"])["cmd"]
    call = agent.create(messages=[{"role": "tool", "content": ""}], tools=tools)["tool_calls"][0]
    assert call["function"]["name"] == "zzz"
    with pytest.raises(LookupError):
        Repairer().create(messages=[message], tools=[TOOLS[-1].as_openai()])
