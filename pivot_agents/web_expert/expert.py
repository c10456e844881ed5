"""WebExpert, the demonstrator of MiniWoB++: reads the task and the page, and does the next step."""

import json
from collections.abc import Callable, Mapping, Sequence

from pivot_agents.policy import Completion, Context
from pivot_agents.web_expert import choices, fields, mail, searches, shapes
from pivot_agents.web_expert.page import PageText, submit
from pivot_envs import ToolCall

Skill = Callable[[str, PageText, Sequence[ToolCall]], ToolCall]

SKILLS: Mapping[str, Skill] = {
    "ascending-numbers": shapes.ascending,
    "buy-ticket": choices.ticket,
    "choose-date": fields.calendar,
    "choose-date-easy": fields.calendar,
    "choose-date-medium": fields.calendar,
    "choose-date-nodelay": fields.calendar,
    "choose-list": choices.options,
    "circle-center": shapes.circle_center,
    "click-button": choices.button,
    "click-button-sequence": choices.button,
    "click-checkboxes": choices.checkboxes,
    "click-checkboxes-large": choices.checkboxes,
    "click-checkboxes-transfer": choices.checkboxes,
    "click-collapsible": choices.section,
    "click-collapsible-nodelay": choices.section,
    "click-collapsible-2": choices.section,
    "click-collapsible-2-nodelay": choices.section,
    "click-color": choices.colour,
    "click-dialog": choices.dialog,
    "click-dialog-2": choices.dialog,
    "click-link": choices.link,
    "click-menu": choices.menu,
    "click-menu-2": choices.toolbar_menu,
    "click-option": choices.checkboxes,
    "click-scroll-list": choices.options,
    "click-shades": choices.shades,
    "click-shape": shapes.named_shape,
    "click-tab": choices.tab,
    "click-tab-2": choices.tab,
    "click-tab-2-easy": choices.tab,
    "click-tab-2-hard": choices.tab,
    "click-tab-2-medium": choices.tab,
    "click-test": choices.button,
    "click-test-2": choices.button,
    "click-test-transfer": choices.button,
    "click-widget": choices.widget,
    "copy-paste": fields.copy,
    "copy-paste-2": fields.copy,
    "count-shape": shapes.count_shapes,
    "drag-box": shapes.drag_box,
    "drag-circle": shapes.drag_towards,
    "drag-items": searches.drag_to_position,
    "drag-shapes": shapes.drag_into_box,
    "drag-shapes-2": shapes.drag_into_box,
    "drag-single-shape": shapes.drag_towards,
    "drag-sort-numbers": searches.sort,
    "email-inbox": mail.mail,
    "email-inbox-delete": mail.mail,
    "email-inbox-forward": mail.mail,
    "email-inbox-important": mail.mail,
    "email-inbox-noscroll": mail.mail,
    "email-inbox-reply": mail.mail,
    "email-inbox-star-reply": mail.mail,
    "enter-date": fields.date,
    "enter-password": fields.text,
    "enter-text": fields.text,
    "enter-text-2": fields.text,
    "enter-text-dynamic": fields.text,
    "enter-time": fields.time,
    "find-greatest": choices.greatest,
    "find-midpoint": shapes.midpoint,
    "find-word": fields.word,
    "focus-text": choices.nth_field,
    "focus-text-2": choices.nth_field,
    "form-sequence": fields.slider,
    "form-sequence-2": fields.sequence,
    "form-sequence-3": fields.dropdown,
    "generate-number": searches.generate,
    "grid-coordinate": choices.coordinate,
    "guess-number": searches.guess,
    "identify-shape": shapes.figure,
    "login-user": fields.login,
    "login-user-popup": fields.login,
    "multi-layouts": fields.movies,
    "multi-orderings": fields.movies,
    "navigate-tree": mail.tree,
    "odd-or-even": choices.parity,
    "order-food": mail.food,
    "phone-book": mail.contact,
    "read-table": fields.table,
    "read-table-2": fields.table,
    "scroll-text": fields.last_word,
    "scroll-text-2": fields.scroll,
    "search-engine": searches.search,
    "sign-agreement": fields.scroll,
    "simple-algebra": fields.total,
    "simple-arithmetic": fields.total,
    "social-media": mail.posts,
    "social-media-all": mail.posts,
    "social-media-some": mail.posts,
    "terminal": searches.terminal,
    "text-transform": fields.letters,
    "unicode-test": choices.button,
    "use-autocomplete": fields.autocomplete,
    "use-autocomplete-nodelay": fields.autocomplete,
    "use-slider": fields.slider,
    "use-slider-2": fields.slider,
    "use-spinner": fields.spinner,
}
"""Skills by MiniWoB++ template."""


class WebExpert:
    """Acts on what an agent sees: the task in words, the newest page, its own earlier actions.

    It knows no answers; a template without a skill, or a page that a skill does not understand, is
    handed in as it is.
    """

    def act(self, contexts: Sequence[Context]) -> list[Completion]:
        """Answer each context with the next step."""
        return [Completion(self._next_call(context).as_text()) for context in contexts]

    def _next_call(self, context: Context) -> ToolCall:
        goal, _, first = context.messages[0].content.partition("\n\n")
        shown = first if len(context.messages) == 1 else context.messages[-1].content
        page = PageText(shown)
        skill = SKILLS.get(context.task_id.partition("#")[0])
        if skill is None:
            return submit(page)
        try:
            return skill(goal, page, _past(context))
        except (IndexError, KeyError, StopIteration, ValueError, AssertionError):
            return submit(page)


def _past(context: Context) -> list[ToolCall]:
    calls = []
    for message in context.messages:
        if message.role == "assistant":
            call = json.loads(message.content)
            calls.append(ToolCall(call["name"], call["arguments"]))
    return calls
