"""ChatFormat, the way between a conversation and token ids."""

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from pivot_agents.policy import Context
from pivot_agents.tool_calls import CallForm, openai_call
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
_TASK = {"role": "user", "content": "task"}


class ChatFormat:
    """Turns messages into token ids with a tokenizer's chat template.

    A completion that was sampled is never encoded again: the ids of the conversation so far are
    kept, and only what the template puts after the completion is encoded and appended.

    How the template ends an assistant's turn, whether it knows the role ``tool`` and how it writes
    tool calls is found out by rendering small conversations. Where it knows no tools, observations
    are messages of the user and an action is the whole completion.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Wrap a Hugging Face tokenizer.

        Raises:
            ModelError: The tokenizer has no chat template, or the template ends an assistant's
                turn with no special token or cannot be rendered.
        """
        if not tokenizer.chat_template or tokenizer.eos_token_id is None:
            raise ModelError(
                "the tokenizer needs a chat template and an eos token; use an instruction-tuned "
                "model, or set tokenizer.chat_template and tokenizer.eos_token"
            )
        self.tokenizer = tokenizer
        self.end_id = self._find_end()
        """Token that ends an assistant's turn; not always the tokenizer's eos."""
        self._end: str = tokenizer.decode([self.end_id])
        pad_id = tokenizer.pad_token_id
        self.pad_id: int = self.end_id if pad_id is None else pad_id
        self._calls = CallForm.of(self._apply)
        self._tool_role = self._find_tool_role()

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
        before = [_TASK, {"role": "assistant", "content": _MARKER}]
        text = self._apply([*before, *map(self._as_openai, messages)], True, tools)
        # The first marker: an observation may quote this file.
        delta = text.partition(_MARKER)[2].partition(self._end)[2]
        ended = prefix_ids[-1] == self.end_id
        return (*prefix_ids, *(() if ended else (self.end_id,)), *self._encode(delta))

    def completion_ids(self, action: str) -> tuple[int, ...]:
        """Return the ids a policy would sample to say ``action``, with the end-of-turn token."""
        return (*self._encode(self._completion_text(action)), self.end_id)

    def action(self, token_ids: Sequence[int]) -> str:
        """Return the action text of sampled ids: a tool call's JSON if the template has them."""
        ids = [token for token in token_ids if token != self.end_id]
        text: str = self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        return text if self._calls is None else self._calls.action(text)

    def _completion_text(self, action: str) -> str:
        if self._calls is None:
            return action
        before = [Message("user", "task")]
        whole = self._render([*before, Message("assistant", action)], (), prompt=False)
        start = self._render(before, ())
        if not whole.startswith(start):
            return action
        return whole.removeprefix(start).rpartition(self._end)[0]

    def _find_end(self) -> int:
        """Return the first special token after an assistant's message."""
        try:
            text = self._apply([_TASK, {"role": "assistant", "content": _MARKER}], False)
        except (TemplateError, TypeError) as error:
            raise ModelError(
                f"the chat template cannot render a user's and an assistant's message: {error}"
            ) from error
        known = {*self.tokenizer.added_tokens_decoder, *self.tokenizer.all_special_ids}
        for token in self._encode(text.rpartition(_MARKER)[2]):
            if token in known:
                return token
        raise ModelError(
            f"the chat template must end an assistant's message with a special token, got {text!r}"
        )

    def _find_tool_role(self) -> str:
        said = {"role": "assistant", "content": "said"}
        call = said if self._calls is None else openai_call("probe", {})
        result = {"role": "tool", "name": "probe", "tool_call_id": "call00000", "content": _MARKER}
        try:
            text = self._apply([_TASK, call, result], True)
        except (TemplateError, TypeError, ValueError):
            return "user"
        return "tool" if _MARKER in text.partition(self._end)[2] else "user"

    def _render(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], *, prompt: bool = True
    ) -> str:
        return self._apply([self._as_openai(message) for message in messages], prompt, tools)

    def _apply(
        self, messages: Sequence[dict[str, Any]], prompt: bool, tools: Sequence[ToolSpec] = ()
    ) -> str:
        text: str = self.tokenizer.apply_chat_template(
            list(messages),
            tools=[tool.as_openai() for tool in tools] or None,
            tokenize=False,
            add_generation_prompt=prompt,
        )
        return text

    def _as_openai(self, message: Message) -> dict[str, Any]:
        if message.role == "tool":
            return {
                "role": self._tool_role,
                "name": "tool",
                "tool_call_id": "call00000",
                "content": message.content,
            }
        if message.role == "assistant" and self._calls is not None:
            try:
                call = json.loads(message.content)
                return openai_call(call["name"], call.get("arguments", {}))
            except (ValueError, KeyError, TypeError, AttributeError):
                pass
        return {"role": message.role, "content": message.content}

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))
