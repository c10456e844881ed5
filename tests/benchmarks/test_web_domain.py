import json
from dataclasses import replace

import pytest

from benchmarks.protocol import PRESETS, protocol_for
from benchmarks.web_corpus import FIRST_SEED
from benchmarks.web_domain import KNOWN, UNSEEN, WITHHELD, RandomUser, WebDomain, WithoutPage
from pivot_agents.policy import Completion, Context
from pivot_envs import Message
from pivot_envs.tools import parse_action

PAGE = 'Pick "b" from the list.\n\n[1] combobox options: a | b [2] textbox "Name"\n[3] button "Ok"'


def context(*messages: Message) -> Context:
    return Context((Message("user", PAGE), *messages), tuple(WebDomain().tools))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_sets_of_web_tasks_are_apart_and_none_is_for_pretraining(preset):
    draw = WebDomain().draw(protocol_for(preset, "web"))
    assert len(set(draw.every)) == len(draw.every)
    assert max(int(task_id.partition("#")[2]) for task_id in draw.every) < FIRST_SEED
    assert {task_id.partition("#")[0] for task_id in draw.unseen} <= set(UNSEEN)
    assert {task_id.partition("#")[0] for task_id in draw.test} <= set(KNOWN)
    assert len(draw.test) == protocol_for(preset, "web").test_tasks


def test_every_known_template_is_trained_on_and_tested():
    draw = WebDomain().draw(replace(PRESETS["quick"], demonstrations=16, test_tasks=16))
    for tasks in (draw.train, draw.test):
        assert {task_id.partition("#")[0] for task_id in tasks} == set(KNOWN)


def test_random_actions_are_valid_and_reach_every_element():
    user = RandomUser(seed=1)
    calls = [parse_action(user.act([context()])[0].text, WebDomain().tools) for _ in range(200)]
    assert {(call.name, call.arguments["ref"]) for call in calls} == {
        ("select", 1),
        ("fill", 2),
        ("click", 3),
    }
    assert {call.arguments["option"] for call in calls if call.name == "select"} == {"a", "b"}
    assert {call.arguments["text"] for call in calls if call.name == "fill"} == {"b"}


def test_a_page_without_elements_is_scrolled():
    action = RandomUser().act([Context((Message("user", "Look.\n\nnothing here"),), ())])[0].text
    assert json.loads(action)["name"] == "scroll"


def test_a_policy_without_the_page_sees_goal_and_actions_only():
    class Spy:
        seen: tuple[Context, ...] = ()

        def act(self, contexts):
            self.seen = tuple(contexts)
            return [Completion("{}") for _ in contexts]

    spy = Spy()
    action = Message("assistant", '{"name": "click", "arguments": {"ref": 3}}')
    given = replace(context(action, Message("tool", "[9] button")), prefix_ids=(1,))
    WithoutPage(spy).act([given])
    (seen,) = spy.seen
    assert [message.content for message in seen.messages] == [
        f'Pick "b" from the list.\n\n{WITHHELD}',
        action.content,
        WITHHELD,
    ]
    assert seen.prefix_ids == ()
