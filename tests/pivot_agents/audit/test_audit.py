"""The audit: labels that are found by execution, and the scores of verifiers on them."""

import json
from dataclasses import replace

import pytest

from pivot_agents.audit.__main__ import JUDGES, main
from pivot_agents.audit.actions import Action, scripted_actions
from pivot_agents.audit.labels import LabelledAction, State
from pivot_agents.audit.repair import Repair
from pivot_agents.audit.scores import score
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.core import Effect
from pivot_envs.drill import DrillEnv
from pivot_envs.errors import SandboxUnavailableError, SourceError
from pivot_envs.sandbox.choice import SandboxChoice
from wrappers import Pivot

TASK = "sqlparse-0.5.3/sql.Token.has_ancestor/d1e4a0c4"


@pytest.fixture(scope="module")
def repair() -> Repair:
    tasks = TaskSet()
    try:
        return Repair.of(tasks[TASK], tasks.workspace(tasks[TASK]))
    except SourceError as reason:
        pytest.skip(f"the source release cannot be had here: {reason}")


@pytest.fixture
def pivot() -> Pivot:
    env = DrillEnv()
    env.reset(seed=0)
    effect = Effect("after", frozenset(), terminated=False)
    return Pivot("p", "t", 0, env.snapshot(), '{"name": "view", "arguments": {}}', effect, "view")


def test_a_repair_knows_the_line_and_other_ways_to_break_it(repair) -> None:
    assert (repair.number, repair.path) == (142, "sqlparse/sql.py")
    assert "ttype" in repair.buggy
    assert repair.right == repair.buggy.replace("ttype", "parent")
    assert repair.wrong
    assert not {repair.right, repair.buggy} & set(repair.wrong)


def test_every_scripted_action_is_tried_once_and_the_same_for_a_seed(repair, pivot) -> None:
    actions = scripted_actions(pivot, repair, seed=0)
    assert len({action.text for action in actions}) == len(actions)
    assert actions == scripted_actions(pivot, repair, seed=0)
    kinds = {action.kind for action in actions}
    assert {"demonstrated", "equivalent edit", "other reading", "other edit", "no call"} <= kinds


def labelled(state: State, is_good: bool, reward: float | None) -> LabelledAction:
    return LabelledAction(state, Action("any", ""), is_good, is_good, {"one": reward})


def test_a_hand_computed_score(repair, pivot) -> None:
    state = State(pivot, repair, ())
    rewards = [(True, 1.0), (True, 0.0), (True, None), (False, 1.0), (False, 0.0), (False, 0.4)]
    one = score([labelled(state, *pair) for pair in rewards], "one")
    assert (one.good, one.bad, one.paid_good, one.paid_bad) == (3, 3, 1, 1)
    assert (one.missed, one.undecided_good, one.undecided_bad) == (1, 1, 0)
    assert one.false_positive_rate == pytest.approx(1 / 3)
    assert one.false_negative_rate == pytest.approx(1 / 2)


def test_without_actions_there_are_no_rates() -> None:
    assert score([], "one").false_positive_rate is None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_audit_of_one_task_runs_to_its_table(tmp_path, capsys) -> None:
    try:
        sandbox = SandboxChoice.of("embedded", None, None, 0, unsafe=False).make()
        sandbox.start()
        sandbox.close()
    except SandboxUnavailableError as reason:
        pytest.skip(f"no sandbox here: {reason}")
    out = tmp_path / "audit.json"
    assert main(["--count", "1", "--pool-size", "4", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    results = json.loads(out.read_text())
    scripted = results["sets"]["scripted"]
    assert set(scripted["verifiers"]) == set(JUDGES)
    assert all(name in printed for name in JUDGES)
    assert 0 < scripted["good"] < scripted["actions"]
    kinds = scripted["kinds"]
    for kind, group in kinds.items():
        if kind.startswith("demonstrated"):
            assert group["good"] == group["actions"], kind
        if kind.startswith(("no call", "unknown tool")):
            assert group["good"] == 0, kind
    assert kinds["equivalent edit at edit"]["good"] == kinds["equivalent edit at edit"]["actions"]
    assert kinds["other edit at edit"]["good"] < kinds["other edit at edit"]["actions"]
    # Strict pays the demonstrated call only, and that is good in every state that counts.
    assert scripted["verifiers"]["strict"]["paid_bad"] == 0
    # Progress is decided before needed actions, and to look is not needed.
    progress = scripted["verifiers"]["progress"]
    assert 0 < progress["undecided_good"] < progress["good"]
    equivalent = kinds["equivalent edit at edit"]
    assert equivalent["paid"]["progress"] == equivalent["actions"]


def test_tasks_that_there_are_not_are_a_clear_error(tmp_path, capsys) -> None:
    assert main(["--tasks", str(tmp_path / "none.jsonl")]) == 1
    assert "none.jsonl" in " ".join(capsys.readouterr().out.split())


def test_an_altered_edit_has_the_form_of_the_demonstrated_one(repair, pivot) -> None:
    arguments = {"line": 142, "old": "ttype", "new": "parent"}
    demonstration = json.dumps({"name": "edit", "arguments": arguments})
    actions = scripted_actions(replace(pivot, demonstration=demonstration), repair, seed=0)
    others = [json.loads(one.text)["arguments"] for one in actions if one.kind == "other edit"]
    news = {
        one["new"] for one in others if one.keys() == arguments.keys() and one["old"] == "ttype"
    }
    assert news - {"parent", "ttype"}
