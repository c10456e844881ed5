"""ChatFormat, the way between a conversation and token ids."""

import json
from collections.abc import Sequence
from typing import Any

from pivot_agents.policy import Context
from pivot_envs import Message, ToolSpec
from pivot_envs.errors import ModelError

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""Chat template of the project's own small tokenizers; tools are not described in it."""

CHAT_TOKENS = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|tool|>")
"""Special tokens of ``CHAT_TEMPLATE`` and the padding, in the order of their ids from 0."""

_MARKER = "earlier-completion"


class ChatFormat:
    """Turns messages into token ids with a tokenizer's chat template.

    A completion that was sampled is never encoded again: the ids of the conversation so far are
    kept, and only what the template puts after the completion is encoded and appended. For that
    the template must put the tokenizer's end-of-turn token right after an assistant message.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Wrap a Hugging Face tokenizer.

        Raises:
            ModelError: The tokenizer has no chat template or no end-of-turn token.
        """
        if not tokenizer.chat_template or tokenizer.eos_token_id is None:
            raise ModelError(
                "the tokenizer needs a chat template and an eos token; use an instruction-tuned "
                "model, or set tokenizer.chat_template and tokenizer.eos_token"
            )
        self.tokenizer = tokenizer
        self.end_id: int = tokenizer.eos_token_id
        pad_id = tokenizer.pad_token_id
        self.pad_id: int = self.end_id if pad_id is None else pad_id
        self._calls_tools = "tool_calls" in str(tokenizer.chat_template)

    def prompt_ids(self, context: Context) -> tuple[int, ...]:
        """Return the token ids of the whole context, with the prompt for the next completion."""
        if not context.prefix_ids:
            return self.rendered_ids(context.messages, context.tools)
        new = context.messages[context.prefix_messages :]
        return self.continued_ids(context.prefix_ids, new, context.tools)

    def rendered_ids(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> tuple[int, ...]:
        """Return the token ids of a whole conversation, with the prompt for a completion."""
        return self._encode(self._render(messages, tools))

    def continued_ids(
        self,
        prefix_ids: Sequence[int],
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
    ) -> tuple[int, ...]:
        """Append messages to ids that end with a completion, and prompt for the next one.

        Args:
            prefix_ids: Ids up to and including a completion, with or without its end-of-turn token.
            messages: What came after that completion.
            tools: The tools of the conversation.
        """
        before = [Message("user", "task"), Message("assistant", _MARKER)]
        text = self._render([*before, *messages], tools, calls_tools=False)
        delta = text.rpartition(_MARKER + self.tokenizer.eos_token)[2]
        ended = prefix_ids[-1] == self.end_id
        return (*prefix_ids, *(() if ended else (self.end_id,)), *self._encode(delta))

    def completion_ids(self, action: str) -> tuple[int, ...]:
        """Return the ids a policy would sample to say ``action``, with the end-of-turn token."""
        return (*self._encode(self._completion_text(action)), self.end_id)

    def action(self, token_ids: Sequence[int]) -> str:
        """Return the action text of sampled ids: a tool call's JSON if it is tagged, or all."""
        ids = [token for token in token_ids if token != self.end_id]
        text: str = self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        if not self._calls_tools:
            return text
        call = text.rpartition("<tool_call>")[2].partition("</tool_call>")[0]
        return call.strip()

    def _completion_text(self, action: str) -> str:
        if not self._calls_tools:
            return action
        before = [Message("user", "task")]
        whole = self._render([*before, Message("assistant", action)], (), prompt=False)
        start = self._render(before, ())
        if not whole.startswith(start):
            return action
        return whole.removeprefix(start).rpartition(self.tokenizer.eos_token)[0]

    def _render(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        *,
        prompt: bool = True,
        calls_tools: bool = True,
    ) -> str:
        text: str = self.tokenizer.apply_chat_template(
            [self._as_openai(message, calls_tools) for message in messages],
            tools=[tool.as_openai() for tool in tools] or None,
            tokenize=False,
            add_generation_prompt=prompt,
        )
        return text

    def _as_openai(self, message: Message, calls_tools: bool) -> dict[str, Any]:
        if message.role == "assistant" and calls_tools and self._calls_tools:
            try:
                call = json.loads(message.content)
                function = {"name": call["name"], "arguments": call.get("arguments", {})}
            except (ValueError, KeyError, TypeError, AttributeError):
                return {"role": "assistant", "content": message.content}
            calls = [{"type": "function", "function": function}]
            return {"role": "assistant", "content": "", "tool_calls": calls}
        return {"role": message.role, "content": message.content}

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))
