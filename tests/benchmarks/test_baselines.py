import ast
import json
import textwrap

import pytest

from benchmarks.baselines import (
    WITHHELD,
    RandomEditor,
    WithoutListing,
    do_nothing,
    listing,
    proposals,
    withheld,
)
from pivot_agents.policy import Completion, Context
from pivot_envs import Message, ToolCall
from pivot_envs.coding.tasks.mutations import find_functions

VIEW = """package/words.py::Words.first
12|    def first(self, count=1):
[docstring 13-18]
19|        if count < 1:
20|            return []
21|        return self.words[:count]"""

CLIPPED = """package/words.py::first
12|def first(words, count=1):
13|    count = count + 1
14|    if cou
[... 412 characters omitted ...]
nt > 9:
30|    while count > 2:
31|        count = count - 1
32|    return words[count]"""


def conversation(*turns: tuple[str, dict, str]) -> tuple[Message, ...]:
    messages = [Message("user", "tests fail")]
    for name, arguments, observation in turns:
        messages.append(Message("assistant", ToolCall(name, arguments).as_text()))
        messages.append(Message("tool", observation))
    return tuple(messages)


def next_call(policy, *turns) -> tuple[str, dict]:
    text = policy.act([Context(conversation(*turns), ())])[0].text
    call = json.loads(text)
    return call["name"], call["arguments"]


def test_doing_nothing_is_submitting():
    assert next_call(do_nothing()) == ("submit", {})


def test_a_view_is_read_by_line_number():
    lines = listing(VIEW)
    assert sorted(lines) == [12, 19, 20, 21]
    assert lines[20] == "            return []"


def test_lines_that_clipping_cut_are_left_out():
    assert sorted(listing(CLIPPED)) == [12, 13, 30, 31, 32]


def test_what_is_no_view_has_no_listing():
    assert listing("edited package/words.py\n12|x = 1") == {}
    assert listing("1 failed\n[exit code 1]") == {}


def test_proposals_are_one_line_mutations_that_parse():
    edits = proposals(listing(VIEW))
    assert {edit.line for edit in edits} >= {12, 19, 21}
    for edit in edits:
        lines = {**listing(VIEW), edit.line: edit.text}
        assert lines != listing(VIEW)
        ast.parse(textwrap.dedent("\n".join(lines[number] for number in sorted(lines))))


def test_proposals_are_the_mutations_that_bugs_are_made_with():
    lines = [text for _, text in sorted(listing(VIEW).items())]
    (function,) = find_functions("words.py", textwrap.dedent("\n".join(lines)))
    assert len(proposals(listing(VIEW))) == len(function.mutations)


def test_pieces_of_a_clipped_function_are_mutated_too():
    assert {edit.line for edit in proposals(listing(CLIPPED))} >= {12, 13, 30, 31}


def test_nothing_is_proposed_for_what_is_no_code():
    assert proposals({1: "= = =", 2: ")"}) == []


def test_the_editor_views_first_and_runs_the_tests_where_no_place_is_known():
    editor = RandomEditor()
    assert next_call(editor) == ("view", {})
    lost = ("view", {}, "error: no traceback")
    assert next_call(editor, lost) == ("bash", {})
    assert next_call(editor, lost, ("bash", {}, "[exit code 1]")) == ("view", {})
    assert next_call(editor, lost, ("bash", {}, ""), lost) == ("submit", {})


def test_the_editor_submits_when_the_tests_pass():
    edit = ("edit", {"start": 19, "end": 19, "text": "        if count < 2:"}, "edited")
    passed = ("bash", {}, "1 passed\n[exit code 0]")
    assert next_call(RandomEditor(), ("view", {}, VIEW), edit) == ("bash", {})
    assert next_call(RandomEditor(), ("view", {}, VIEW), edit, passed) == ("submit", {})


@pytest.mark.parametrize("seed", range(8))
def test_the_next_try_undoes_the_last(seed):
    original = listing(VIEW)
    edit = ("edit", {"start": 21, "end": 21, "text": "        return self.words[:1]"}, "edited")
    failed = ("bash", {}, "1 failed\n[exit code 1]")
    _, arguments = next_call(RandomEditor(seed=seed), ("view", {}, VIEW), edit, failed)
    written = dict(enumerate(arguments["text"].split("\n"), start=arguments["start"]))
    assert written[21] != edit[1]["text"]
    changed = [number for number, text in written.items() if text != original[number]]
    # Line 12 lies beyond a folded docstring, so its edit has to wait for a plain undo.
    assert len(changed) == 1 or written == {21: original[21]}


def test_the_listing_is_withheld_but_its_line_numbers_are_not():
    hidden = withheld(VIEW)
    assert "words[" not in hidden
    assert f"21|{WITHHELD}" in hidden
    assert hidden.startswith("package/words.py::Words.first\n")
    assert withheld("[exit code 1]") == "[exit code 1]"
    quoted = "error: old must occur once on line 3, which reads: secret = 1"
    assert "secret" not in withheld(quoted)


def test_the_policy_behind_never_sees_the_listing_nor_old_token_ids():
    seen = []

    class Spy:
        def act(self, contexts):
            seen.extend(contexts)
            return [Completion("x") for _ in contexts]

    messages = conversation(("view", {}, VIEW))
    context = Context(messages, (), prefix_ids=(1, 2), prefix_messages=2)
    assert WithoutListing(Spy()).act([context])[0].text == "x"
    assert "self.words" not in " ".join(message.content for message in seen[0].messages)
    assert (seen[0].prefix_ids, seen[0].prefix_messages) == ((), 0)
