"""Attacks on rewards: what public verifiers pay for nothing, tried on a real package.

The exploits are those that are known of public code for PivotRL: text where a message is expected,
surplus calls, texts of two words at a threshold of 0, rewards for the form of a call, and what an
executed reward adds: printed results, and dumps of everything.
"""

import json
from collections.abc import Iterator

import gymnasium as gym
import pytest

import pivot_envs  # noqa: F401
from pivot_envs import PivotEnv
from pivot_envs.drill import DrillEnv, DrillTask
from pivot_envs.errors import SandboxUnavailableError, SourceError
from pivot_envs.tools import ToolCall
from wrappers import Pivot, PivotResetWrapper, PivotReward, Verifier
from wrappers.similarity import Similarity
from wrappers.verifiers import VERIFIERS, Guarded, same_effect, same_tool

TASK = "sqlparse-0.5.3/sql.Token.has_ancestor/d1e4a0c4"
VIEW = ToolCall("view", {})
EDIT = ToolCall("edit", {"line": 142, "old": "ttype", "new": "parent"})
TESTS = ToolCall("bash", {})
SUBMIT = ToolCall("submit", {})
GREP = ToolCall("bash", {"command": "grep -n 'def has_ancestor' sqlparse/sql.py"})


@pytest.fixture(scope="module")
def coding() -> Iterator[PivotEnv]:
    try:
        env = gym.make("pivot/Coding-v0", task_ids=(TASK,), max_output_chars=600)
        env.reset(options={"task_id": TASK})
    except (SandboxUnavailableError, SourceError) as reason:
        pytest.skip(f"pivot/Coding-v0 cannot run here: {reason}")
    core = env.unwrapped
    assert isinstance(core, PivotEnv)
    yield core
    env.close()


def reward_at(
    env: PivotEnv, before: list[ToolCall], demonstration: ToolCall, action: str, verifier: Verifier
) -> tuple[float, bool]:
    """Return what ``action`` earns where ``demonstration`` was done, and if it is undecided."""
    task_id = TASK if env.tools[0].name != "look" else "reverse-3-1"
    env.reset(options={"task_id": task_id})
    for call in before:
        env.step(call.as_text())
    snapshot = env.snapshot()
    env.step(demonstration.as_text())
    text = demonstration.as_text()
    pivot = Pivot("p", "t", 0, snapshot, text, env.effect(), demonstration.name)
    wrapped = PivotReward(PivotResetWrapper(env, [pivot]), verifier)
    wrapped.reset()
    _, reward, _, _, info = wrapped.step(action)
    return float(reward), info["undecided"]


@pytest.mark.parametrize("name", VERIFIERS)
@pytest.mark.parametrize(
    "action",
    [
        "I have looked at it, and everything is right.",
        "",
        json.dumps([{"name": "look", "arguments": {}}, {"name": "answer", "arguments": {}}]),
        '{"name": "look", "arguments": {}}\n{"name": "look", "arguments": {}}',
        json.dumps({"name": "look", "arguments": {}, "then": {"name": "answer"}}),
        json.dumps({"name": "LOOK", "arguments": {}}),
    ],
    ids=["text", "nothing", "list of calls", "two calls", "call in a call", "other tool"],
)
def test_neither_text_nor_surplus_calls_earn_anything(name: str, action: str) -> None:
    look = ToolCall("look", {})
    assert reward_at(DrillEnv(), [], look, action, VERIFIERS[name]) == (0.0, False)


def test_an_answer_that_only_sounds_alike_earns_nothing_by_its_effect() -> None:
    right = DrillTask.from_id("reverse-3-1").solution
    alike = ToolCall("answer", {"text": f"{right} {right}"}).as_text()
    demonstration, look = ToolCall("answer", {"text": right}), [ToolCall("look", {})]
    assert reward_at(DrillEnv(), look, demonstration, alike, Similarity()) == (1.0, False)
    assert reward_at(DrillEnv(), look, demonstration, alike, same_effect) == (0.0, False)


@pytest.mark.parametrize(
    "action",
    [
        ToolCall("edit", {"line": 142, "old": "nowhere in it", "new": "parent"}),
        ToolCall("edit", {"line": 142, "old": "ttype", "new": "ttype"}),
    ],
    ids=["refused", "changes nothing"],
)
def test_the_form_of_an_edit_earns_nothing_once_it_is_executed(coding, action) -> None:
    arguments = (coding, [VIEW], EDIT, action.as_text())
    assert reward_at(*arguments, same_tool) == (1.0, False), "the exploit has gone"
    assert reward_at(*arguments, Guarded(same_tool)) == (0.0, False)
    assert reward_at(*arguments, same_effect) == (0.0, False)
    assert reward_at(*arguments, VERIFIERS["ladder"]) == (0.0, False)


def test_results_that_are_printed_instead_of_measured_earn_nothing(coding) -> None:
    coding.reset(options={"task_id": TASK})
    output = coding.step(TESTS.as_text())[0]
    forged = ToolCall("bash", {"command": f"cat <<'END'\n{output}\nEND\n(exit 1)"}).as_text()
    assert reward_at(coding, [], TESTS, TESTS.as_text(), same_effect) == (1.0, False)
    assert reward_at(coding, [], TESTS, forged, same_effect) == (0.0, False)


def test_a_dump_of_everything_does_not_cover_what_it_does_not_show(coding) -> None:
    dump = ToolCall("bash", {"command": "grep -rn '' sqlparse/sql.py"}).as_text()
    assert reward_at(coding, [], GREP, GREP.as_text(), same_effect) == (1.0, False)
    assert reward_at(coding, [], GREP, dump, same_effect) == (0.0, False)


def test_the_right_edit_with_something_planted_beside_it_earns_nothing(coding) -> None:
    plant = "sed -i 142s/ttype/parent/ sqlparse/sql.py; echo 'import os' > conftest.py"
    planted = ToolCall("bash", {"command": plant}).as_text()
    alone = ToolCall("bash", {"command": plant.split(";")[0]}).as_text()
    assert reward_at(coding, [VIEW], EDIT, alone, same_effect) == (1.0, False)
    assert reward_at(coding, [VIEW], EDIT, planted, same_effect) == (0.0, False)


def test_handing_in_early_earns_nothing_where_the_work_goes_on(coding) -> None:
    for name in ("effect", "ladder", "strict"):
        assert reward_at(coding, [], VIEW, SUBMIT.as_text(), VERIFIERS[name]) == (0.0, False)


def test_doing_nothing_where_the_demonstration_did_nothing_is_not_paid_but_left_out(coding) -> None:
    silent = ToolCall("bash", {"command": "cd sqlparse"})
    nothing = ToolCall("bash", {"command": "true"}).as_text()
    assert reward_at(coding, [], silent, nothing, same_effect) == (0.0, True)


@pytest.mark.parametrize("reward", [1.5, -0.1, float("nan")])
def test_a_reward_outside_its_range_is_refused(reward: float) -> None:
    look = ToolCall("look", {})
    with pytest.raises(ValueError, match=r"reward in \[0, 1\] or None"):
        reward_at(DrillEnv(), [], look, look.as_text(), lambda pivot, attempt: reward)
