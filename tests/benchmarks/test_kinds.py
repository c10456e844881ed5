import json
from pathlib import Path

import pytest

from benchmarks.kinds import by_kind, kind_of, kinds_table, main
from pivot_agents.evaluation import EvaluationResult

IDS = ("click-link#7", "click-link#8", "package-1.0/module.function/abc")
BASE = EvaluationResult(IDS, ((True, False), (True, True), (False,)), 0, 9)
ARM = EvaluationResult(IDS, ((False,), (False,), (True,)), 0, 9)
SCORES = {"base": [{"test T=1": BASE}], "E2E": [{"test T=1": ARM}, {"test T=1": BASE}]}


def test_a_kind_is_what_a_tasks_id_begins_with():
    assert [kind_of(one) for one in IDS] == ["click-link", "click-link", "package-1.0"]


def test_tasks_of_a_kind_count_alike_however_often_they_were_tried():
    links, package = by_kind(SCORES, "test T=1")
    assert (links.name, links.tasks) == ("click-link", 2)
    assert links.rates["base"] == pytest.approx(3 / 4)
    assert links.rates["E2E"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert package.rates == {"base": 0.0, "E2E": 0.5}


def test_a_task_that_was_lost_and_a_policy_that_was_not_measured_are_left_out():
    lost = EvaluationResult(IDS, ((), (True,), ()), 3, 9)
    scores = {"base": [{"test T=1": lost}], "E2E": [{"unseen T=1": ARM}]}
    (links,) = by_kind(scores, "test T=1")
    assert (links.tasks, links.rates) == (1, {"base": 1.0})


def test_the_table_has_a_dash_for_what_was_not_measured():
    lost = EvaluationResult(IDS, ((), (), (True,)), 3, 9)
    titles, lines = kinds_table(by_kind({**SCORES, "SFT": [{"test T=1": lost}]}, "test T=1"))
    assert titles == ["", "tasks", "base", "E2E", "SFT"]
    assert lines == [["click-link", "2", "75", "50", "-"], ["package-1.0", "1", "0", "50", "100"]]


def test_many_policies_have_a_line_each():
    scores = {f"arm {number}": SCORES["base"] for number in range(7)}
    titles, lines = kinds_table(by_kind(scores, "test T=1"))
    assert titles == ["", "click-link (2)", "package-1.0 (1)"]
    assert lines[6] == ["arm 6", "75", "0"]


def test_the_command_prints_the_kinds_of_a_committed_run(capsys: pytest.CaptureFixture[str]):
    assert main(["benchmarks/results/web-seventh/results.json"]) == 0
    printed = capsys.readouterr().out
    assert "email-inbox-delete" in printed
    assert "random" not in printed


def test_the_command_says_what_it_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["benchmarks/results/web-seventh/results.json", "--measurement", "x"]) == 1
    assert "test greedy" in capsys.readouterr().out
    other = tmp_path / "results.json"
    other.write_text(json.dumps({"rows": [{"name": "base"}]}))
    assert main([str(other)]) == 1
    assert "expected the results.json of a comparison" in capsys.readouterr().out
