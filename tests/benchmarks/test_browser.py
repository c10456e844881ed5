import pytest

from benchmarks.browser import ratios
from benchmarks.exactness import Walk, summary


def test_ratios_compare_with_browsergym_without_its_sleeps():
    ours = {"step_ms": 2.0, "reset_ms": 10.0, "drawn_step_ms": 4.0}
    rows = {
        "a": {"ours": ours, "browsergym-fast": {"step_ms": 200.0, "reset_ms": 500.0}},
        "b": {"ours": ours, "browsergym-fast": {"error": "no such task"}},
    }
    expected = {"step": 100.0, "reset": 50.0, "step with a screenshot": 50.0}
    assert ratios(rows) == expected


def test_a_summary_names_what_came_back_different():
    walks = [Walk("a#1", "js", 3, 5, 12.0, None), Walk("b#1", "js", 1, 5, 8.0, "reward 1 became 0")]
    found = summary(walks)
    assert (found["walks"], found["exact"], found["restore_ms_median"]) == (2, 1, 10.0)
    assert found["exceptions"] == {"b#1": "reward 1 became 0"}


@pytest.mark.web
def test_walks_in_some_tasks_come_back_exactly():
    from benchmarks.exactness import walks
    from pivot_envs.errors import BrowserUnavailableError, SourceError

    tasks = ["click-checkboxes", "use-autocomplete", "email-inbox", "choose-date"]
    try:
        done = [each for mode in ("js", "trusted") for each in walks(tasks, [1], mode)]
    except (ImportError, BrowserUnavailableError, SourceError) as error:
        pytest.skip(str(error))
    assert [each.difference for each in done] == [None] * len(done)
    assert all(each.prefix for each in done)


@pytest.mark.web
@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_walks_in_every_task_come_back_exactly():
    from benchmarks.exactness import walks
    from pivot_envs.web.miniwob.names import TASKS

    done = list(walks(TASKS, [1, 2, 3], "js"))
    assert [each for each in done if each.difference is not None] == []
