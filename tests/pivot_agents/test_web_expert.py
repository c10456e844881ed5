"""The demonstrator of MiniWoB++ in a real browser: it solves what it says, and it varies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.miniwob_expert import NOT_DEMONSTRATED
from pivot_agents.policy import Context
from pivot_agents.web_expert import MiniWobExpert
from pivot_envs import Message, ToolCall
from pivot_envs.errors import BrowserUnavailableError, SourceError
from pivot_envs.web.env import WebEnv
from pivot_envs.web.miniwob.names import TASKS

Demonstration = tuple[tuple[str, ...], float]


class Stage:
    """Plays demonstrations, each once."""

    def __init__(self, env: WebEnv) -> None:
        self.env = env
        self._played: dict[tuple[str, int], Demonstration] = {}

    def play(self, task_id: str, seed: int = 0) -> Demonstration:
        """Return the actions of the expert's episode and its reward."""
        if (task_id, seed) not in self._played:
            self._played[task_id, seed] = self.replay(task_id, seed)
        return self._played[task_id, seed]

    def replay(self, task_id: str, seed: int = 0) -> Demonstration:
        """Play an episode whether it was played before or not."""
        self.env.reset(options={"task_id": task_id})
        return self.go_on(task_id, seed)

    def go_on(self, task_id: str, seed: int) -> Demonstration:
        """Play the episode that runs to its end."""
        expert = MiniWobExpert(seed=seed)
        actions: list[str] = []
        reward, is_over = 0.0, False
        while not is_over:
            context = Context(self.env.messages, self.env.tools, task_id)
            actions += [completion.text for completion in expert.act([context])]
            _, reward, terminated, truncated, info = self.env.step(actions[-1])
            assert info["infra_error"] is None
            is_over = terminated or truncated
        return tuple(actions), reward


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    env = WebEnv(timeout_s=60.0)
    try:
        env.reset(options={"task_id": "click-test"})
        yield Stage(env)
    except (BrowserUnavailableError, SourceError) as error:
        pytest.skip(str(error))
    finally:
        env.close()


@pytest.mark.web
@pytest.mark.parametrize("template", MiniWobExpert.templates)
def test_the_expert_solves_its_templates(stage: Stage, template: str) -> None:
    for seed in (0, 1):
        actions, reward = stage.play(f"{template}#{seed}")
        assert reward == 1.0, actions


@pytest.mark.web
@pytest.mark.parametrize("template", ["click-checkboxes", "use-autocomplete", "login-user"])
def test_one_seed_gives_one_demonstration_for_a_task(stage: Stage, template: str) -> None:
    assert stage.replay(f"{template}#1", seed=3) == stage.replay(f"{template}#1", seed=3)


@pytest.mark.web
@pytest.mark.parametrize(
    "template",
    [
        "click-checkboxes-large",
        "click-tab-2",
        "enter-password",
        "login-user",
        "email-inbox-delete",
        "social-media-some",
        "use-autocomplete",
        "drag-sort-numbers",
        "order-food",
    ],
)
def test_seeds_give_different_demonstrations_of_a_task(stage: Stage, template: str) -> None:
    played = [stage.play(f"{template}#1", seed) for seed in range(6)]
    assert all(reward == 1.0 for _, reward in played)
    assert len({actions for actions, _ in played}) > 1


@pytest.mark.web
def test_the_expert_goes_on_from_what_others_have_done(stage: Stage) -> None:
    # The task does not name Mtb, and the second action is no call.
    lines = stage.env.reset(options={"task_id": "click-checkboxes#1"})[0].split("\n")
    ref = next(int(line[1]) for line in lines if line.endswith('checkbox "Mtb"'))
    stage.env.step(ToolCall("click", {"ref": ref}).as_text())
    stage.env.step("no call at all")
    assert stage.go_on("click-checkboxes#1", seed=0)[1] == 1.0


def test_the_expert_looks_on_for_dishes_that_a_page_does_not_show() -> None:
    context = Context(
        (Message("user", "Order 2 items that are vegan\n\nMenu"),), (), "order-food#1"
    )
    (answer,) = MiniWobExpert().act([context])
    assert answer.text == ToolCall("scroll", {"dy": 100}).as_text()


def test_a_template_without_a_script_is_refused_with_those_that_have_one() -> None:
    context = Context((Message("user", "Do it.\n\n"),), (), "count-sides#1")
    with pytest.raises(ValueError, match=r"no script for the task 'count-sides#1'.*click-test"):
        MiniWobExpert().act([context])


def test_every_template_has_a_script_or_a_reason_for_having_none() -> None:
    assert {*MiniWobExpert.templates, *NOT_DEMONSTRATED} == set(TASKS)
    assert not set(MiniWobExpert.templates) & set(NOT_DEMONSTRATED)


def test_scripts_read_nothing_but_text() -> None:
    folder = Path(__file__).parents[2] / "pivot_agents"
    for path in (folder / "web_expert.py", *(folder / "miniwob").glob("*.py")):
        assert "pivot_envs.web" not in path.read_text(encoding="utf-8"), path
