import importlib.util
from collections.abc import Sequence

import pytest

from pivot_agents.policy import Context
from pivot_agents.web_expert import WebExpert
from pivot_agents.web_expert.expert import SKILLS
from pivot_agents.web_expert.page import PageText
from pivot_envs import Message
from pivot_envs.errors import BrowserUnavailableError, SourceError
from pivot_envs.web.miniwob.names import TASKS
from pivot_envs.web.toolbox import toolbox

QUICK = ("click-checkboxes", "enter-text", "login-user", "use-autocomplete", "choose-list")


def context(task_id: str, *messages: str) -> Context:
    roles = ["user", *(["assistant", "tool"] * len(messages))]
    told = tuple(
        Message(role, text)  # type: ignore[arg-type]
        for role, text in zip(roles, messages, strict=False)
    )
    return Context(told, toolbox(()), task_id)


def act(task_id: str, *messages: str) -> str:
    return WebExpert().act([context(task_id, *messages)])[0].text


def test_at_least_sixty_tasks_have_a_skill() -> None:
    assert len(SKILLS) >= 60
    assert set(SKILLS) <= set(TASKS)


def test_it_reads_elements_with_names_values_and_states() -> None:
    page = PageText('Name [1] textbox "A \\"b\\"" value="x y" focused [2] button "Go"\nrest')
    first, second = page.elements
    assert (first.name, first.value, first.has("focused")) == ('A "b"', "x y", True)
    assert (second.ref, second.name, second.line) == (2, "Go", 0)
    assert page.plain() == ["rest"]


def test_it_ticks_what_is_listed_and_then_submits() -> None:
    goal = "Select b and click Submit.\n\n"
    page = '[1] checkbox "a"\n[2] checkbox "b"{}\n[3] button "Submit"'
    first = act("click-checkboxes#1", goal + page.format(""))
    assert first == '{"name": "click", "arguments": {"ref": 2}}'
    then = act("click-checkboxes#1", goal + page.format(""), first, page.format(" checked"))
    assert then == '{"name": "click", "arguments": {"ref": 3}}'


def test_a_page_that_it_does_not_understand_is_handed_in() -> None:
    assert '"ref": 1' in act("login-user#1", 'No quotes.\n\n[1] button "Login"')
    assert '"press"' in act("chase-circle#1", "Chase it.\n\nnothing here")


@pytest.mark.web
@pytest.mark.parametrize("tasks", [QUICK, pytest.param(tuple(SKILLS), marks=pytest.mark.soak)])
@pytest.mark.timeout(3600)
def test_it_solves_tasks(tasks: Sequence[str]) -> None:
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("Playwright is not installed")
    from pivot_envs.web.env import WebEnv

    env, expert = WebEnv(timeout_s=120), WebExpert()
    solved: list[str] = []
    try:
        for task in tasks:
            env.reset(options={"task_id": f"{task}#3"})
            reward = 0.0
            while env.is_running:
                asked = Context(env.messages, env.tools, env.task_id)
                _, reward, _, _, _ = env.step(expert.act([asked])[0].text)
            solved += [task] if reward >= 1 else []
    except (BrowserUnavailableError, SourceError) as error:
        pytest.skip(str(error))
    finally:
        env.close()
    assert len(solved) >= 0.8 * len(tasks), sorted(set(tasks) - set(solved))
