import copy

import pytest

from pivot_agents.chat import ChatFormat
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


def test_a_tokenizer_without_a_chat_template_is_refused(tiny_policy):
    tokenizer = copy.deepcopy(tiny_policy.chat.tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="chat template"):
        ChatFormat(tokenizer)
