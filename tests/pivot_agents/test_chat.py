import copy
import json

import pytest

from pivot_agents.chat import _MARKER, ChatFormat
from pivot_agents.policy import Context
from pivot_envs import Message, ToolSpec
from pivot_envs.errors import ModelError

TASK = Message("user", "Reverse the list.")
LOOK = Message("assistant", '{"name": "look", "arguments": {}}')
SEEN = Message("tool", "7 3")

TOOL_TEMPLATE = """
{%- if tools %}<|user|>tools: {% for tool in tools %}{{ tool.function.name }} {% endfor %}<|end|>
{% endif %}
{%- for message in messages %}<|{{ message.role }}|>{{ message.content }}
{%- for call in message.tool_calls or [] %}<tool_call>
{{ {"name": call.function.name, "arguments": call.function.arguments} | tojson }}
</tool_call>{% endfor %}<|end|>
{% endfor %}
{%- if add_generation_prompt %}<|assistant|>{% endif %}"""


@pytest.fixture
def chat(tiny_policy):
    return tiny_policy.chat


@pytest.fixture
def tool_chat(tiny_policy):
    """A format like those of large models: tools are listed, calls are tagged, turns end in \\n."""
    tokenizer = copy.deepcopy(tiny_policy.chat.tokenizer)
    tokenizer.chat_template = TOOL_TEMPLATE
    return ChatFormat(tokenizer)


def test_a_conversation_is_rendered_with_the_prompt_for_an_answer(chat):
    ids = chat.prompt_ids(Context((TASK, LOOK, SEEN), ()))
    assert chat.tokenizer.decode(ids) == (
        f"<|user|>{TASK.content}<|end|><|assistant|>{LOOK.content}<|end|>"
        "<|tool|>7 3<|end|><|assistant|>"
    )


def test_sampled_ids_are_kept_and_only_new_text_is_encoded(chat):
    prompt = chat.prompt_ids(Context((TASK,), ()))
    # One byte at a time, as no tokenizer would encode it.
    sampled = tuple(id for letter in LOOK.content for id in chat._encode(letter))
    assert sampled != chat._encode(LOOK.content)
    prefix = (*prompt, *sampled, chat.end_id)
    ids = chat.prompt_ids(Context((TASK, LOOK, SEEN), (), prefix_ids=prefix, prefix_messages=2))
    assert ids[: len(prefix)] == prefix
    assert chat.tokenizer.decode(ids[len(prefix) :]) == "<|tool|>7 3<|end|><|assistant|>"


def test_an_observation_that_quotes_the_formats_own_code_is_kept(chat):
    quoting = Message("tool", f"87| text.partition({_MARKER!r})")
    prompt = (*chat.prompt_ids(Context((TASK,), ())), chat.end_id)
    ids = chat.continued_ids(prompt, [quoting])
    assert quoting.content in chat.tokenizer.decode(ids[len(prompt) :])


def test_a_completion_that_was_cut_off_is_ended(chat):
    prompt = chat.prompt_ids(Context((TASK,), ()))
    ids = chat.continued_ids((*prompt, 70), [SEEN])
    assert chat.tokenizer.decode(ids[len(prompt) + 1 :]).startswith("<|end|><|tool|>")


def test_continuing_equals_rendering_when_ids_agree(chat):
    prefix = (*chat.prompt_ids(Context((TASK,), ())), *chat.completion_ids(LOOK.content))
    assert chat.continued_ids(prefix, [SEEN]) == chat.rendered_ids([TASK, LOOK, SEEN])


def test_the_action_is_the_completion_without_its_end(chat):
    assert chat.action(chat.completion_ids(LOOK.content)) == LOOK.content


def test_any_text_survives_the_tokenizer(chat):
    text = "def f(x):\n\treturn 'é→🙂'  # 7  spaces"
    assert chat.action(chat.completion_ids(text)) == text


def test_tagged_tool_calls_are_written_and_read(tool_chat):
    ids = tool_chat.completion_ids(LOOK.content)
    text = tool_chat.tokenizer.decode(ids)
    assert text.startswith("<tool_call>\n")
    assert text.endswith("</tool_call><|end|>")
    assert tool_chat.action(ids) == LOOK.content
    assert tool_chat.action(tool_chat._encode("no call at all")) == "no call at all"


def test_a_template_with_tools_continues_as_it_renders(tool_chat):
    tools = [ToolSpec("look", "Show the list.", {"type": "object", "properties": {}})]
    prompt = tool_chat.rendered_ids([TASK], tools)
    assert "tools: look" in tool_chat.tokenizer.decode(prompt)
    prefix = (*prompt, *tool_chat.completion_ids(LOOK.content))
    continued = tool_chat.continued_ids(prefix, [SEEN], tools)
    rendered = tool_chat.rendered_ids([TASK, LOOK, SEEN], tools)
    assert tool_chat.tokenizer.decode(continued) == tool_chat.tokenizer.decode(rendered)


def test_text_that_is_no_call_is_rendered_as_it_is(tool_chat):
    ids = tool_chat.rendered_ids([TASK, Message("assistant", "hm"), SEEN])
    assert "<|assistant|>hm<|end|>" in tool_chat.tokenizer.decode(ids)


# Forms in which families of models are trained, each with an end of turn that is not the eos.
PARAMETERS = """
{%- for message in messages %}<|{{ message.role }}|>
{%- for call in message.tool_calls or [] %}{"name": "{{ call.function.name }}", "parameters":
 {{- call.function.arguments | tojson }}}{% endfor %}{{ message.content }}
{#- #}<|turn|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"""
LISTED = """
{%- for message in messages %}
{%- if message.role == "user" %}[ASK]{{ message.content }}[/ASK]
{%- elif message.role == "tool" %}[RESULT]{{ message.content }}[/RESULT]
{%- elif message.tool_calls %}[CALLS] [
{%- for call in message.tool_calls %}{"name": "{{ call.function.name }}", "arguments":
 {{- call.function.arguments | tojson }}, "id": "{{ call.id }}"}{% endfor %}]<|turn|>
{%- else %}{{ message.content }} <|turn|>{% endif %}{% endfor %}"""
TWO_ROLES = """
{%- for message in messages %}
{%- if (message.role == "user") != (loop.index0 % 2 == 0) %}
{{- raise_exception("roles must alternate") }}{% endif %}<|{{ message.role }}|>
{{- message.content }}<|turn|>
{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"""
OTHER_CALLS = """
{%- for message in messages %}<|{{ message.role }}|>{{ message.content }}
{%- for call in message.tool_calls or [] %}<function={{ call.function.name }}>{% endfor %}<|turn|>
{%- endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"""


def chat_of(template, tiny_policy):
    tokenizer = copy.deepcopy(tiny_policy.chat.tokenizer)
    tokenizer.add_tokens(["<|turn|>"], special_tokens=True)
    tokenizer.chat_template = template
    return ChatFormat(tokenizer)


@pytest.mark.parametrize(
    ("template", "written"),
    [
        (PARAMETERS, '{"name": "set", "parameters":{"a": 1}}<|turn|>'),
        (LISTED, '[CALLS] [{"name": "set", "arguments":{"a": 1}, "id": "call00000"}]<|turn|>'),
        (TWO_ROLES, '{"name": "set", "arguments": {"a": 1}}<|turn|>'),
        (OTHER_CALLS, '{"name": "set", "arguments": {"a": 1}}<|turn|>'),
    ],
)
def test_calls_are_written_and_read_as_the_template_does(tiny_policy, template, written):
    chat = chat_of(template, tiny_policy)
    action = '{"name": "set", "arguments": {"a": 1}}'
    ids = chat.completion_ids(action)
    assert chat.tokenizer.decode(ids) == written
    assert json.loads(chat.action(ids)) == json.loads(action)
    prompt = chat.rendered_ids([TASK])
    continued = chat.continued_ids((*prompt, *ids), [SEEN])
    assert continued == chat.rendered_ids([TASK, Message("assistant", action), SEEN])
    assert "7 3" in chat.tokenizer.decode(continued[len(prompt) + len(ids) :])


def test_where_there_is_no_role_for_tools_observations_are_the_users(tiny_policy):
    chat = chat_of(TWO_ROLES, tiny_policy)
    text = chat.tokenizer.decode(chat.rendered_ids([TASK, LOOK, SEEN]))
    assert text.endswith("<|user|>7 3<|turn|>\n<|assistant|>")


def test_what_is_no_call_comes_back_as_text(tiny_policy):
    chat = chat_of(LISTED, tiny_policy)
    assert chat.action(chat._encode("no call")) == "no call"
    assert chat.action(chat._encode('[CALLS] [{"name": ')) == '[{"name":'
    first, last = (json.dumps({"name": name, "arguments": {"a": [1]}}) for name in "ab")
    assert chat.action(chat._encode(f"[CALLS] [{first}] [CALLS] [{last}]")) == last


def test_a_template_without_an_end_of_turn_is_refused(tiny_policy):
    with pytest.raises(ModelError, match="special token"):
        chat_of("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", tiny_policy)


def test_a_template_that_cannot_be_rendered_is_refused(tiny_policy):
    with pytest.raises(ModelError, match="cannot render"):
        chat_of("{{ raise_exception('no') }}", tiny_policy)


def test_a_tokenizer_without_a_chat_template_is_refused(tiny_policy):
    tokenizer = copy.deepcopy(tiny_policy.chat.tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="chat template"):
        ChatFormat(tokenizer)
