import json
import random

from benchmarks.corpus import Code
from benchmarks.drills import (
    copying_drill,
    look_up_drill,
    proofreading_drill,
    recital,
    repair_drill,
    search_drill,
)
from pivot_envs import Message
from pivot_envs.coding.editing import edit_text
from pivot_envs.coding.tasks.mutations import find_functions

SOURCE = """\
def clamp(value, low, high):
    if value < low:
        return low
    if value > high:
        return high
    return value


def count(items, wanted):
    found = 0
    for item in items:
        if item == wanted:
            found += 1
    return found
"""
WORDS = ("alpha", "beta", "gamma", "delta", "x=1", "(y)", "zeta", "eta")


def code() -> Code:
    return Code("module.py", SOURCE, find_functions("module.py", SOURCE))


def answers(messages: tuple[Message, ...]) -> list[str]:
    calls = [json.loads(m.content) for m in messages if m.role == "assistant"]
    return [call["arguments"]["text"] for call in calls if call["name"] == "answer"]


def test_the_edits_of_a_repair_drill_bring_the_function_back():
    for seed in range(20):
        generator = random.Random(seed)
        function = generator.choice(code().functions)
        messages = repair_drill(code(), function, slips=seed % 2 == 0, generator=generator)
        assert messages is not None
        listing = messages[2].content.split("\n")[1:]
        numbers = [int(line.split("|")[0]) for line in listing]
        lines = SOURCE.split("\n")
        lines[numbers[0] - 1 : numbers[-1]] = [line.partition("|")[2] for line in listing]
        text = "\n".join(lines)
        assert text != SOURCE
        for message in messages[3:]:
            if message.role == "assistant":
                text = edit_text(text, json.loads(message.content)["arguments"])[0]
        assert text == SOURCE


def test_a_search_ends_at_the_first_function_that_differs():
    pairs = [(code(), function) for function in code().functions]
    lengths = set()
    for seed in range(40):
        messages = search_drill(pairs, slips=seed % 2 == 0, generator=random.Random(seed))
        assert messages is not None
        lines = {f"{n}|{line}" for n, line in enumerate(SOURCE.split("\n"), start=1)}
        views = [m.content.split("\n")[1:] for m in messages if m.role == "tool"]
        assert all(set(view) <= lines for view in views[:-1])
        (wrong,) = set(views[-1]) - lines
        number, _, text = wrong.partition("|")
        arguments = json.loads(messages[-1].content)["arguments"]
        assert str(arguments["line"]) == number
        repaired = text.replace(arguments["old"], arguments["new"])
        assert f"{number}|{repaired}" in lines
        lengths.add(len(views))
    assert lengths == {1, 2, 3}


def test_proofreading_marks_the_lines_that_differ():
    for seed in range(40):
        generator = random.Random(seed)
        function = generator.choice(code().functions)
        messages = proofreading_drill(code(), function, slips=seed % 2 == 0, generator=generator)
        assert messages is not None
        original = {f"{n}|{line}" for n, line in enumerate(SOURCE.split("\n"), start=1)}
        listing = messages[2].content.split("\n")[1:]
        expected = [line.partition("|")[0] + ("+" if line in original else "-") for line in listing]
        assert answers(messages) == [" ".join(expected)]


def test_a_recital_is_the_function_as_a_view_shows_it():
    messages = recital(code(), code().functions[0])
    assert messages is not None
    assert messages[0].role == "assistant"
    assert messages[0].content.startswith("module.py::clamp\n1|def clamp(value, low, high):\n2|")


def test_every_question_about_a_list_is_answered_from_it():
    for seed in range(60):
        messages = look_up_drill(WORDS, random.Random(seed))
        shown = messages[2].content
        questions = [m.content for m in messages if m.role == "user"]
        for question, answer in zip(questions, answers(messages), strict=True):
            if question == "Reverse the list.":
                assert answer.split() == shown.split()[::-1]
            else:
                key = question.removeprefix("What is the value of ").removesuffix("?")
                assert f"{key}={answer}" in shown.split("\n")


def test_copied_lines_are_those_that_were_asked_for():
    for seed in range(30):
        messages = copying_drill(WORDS, random.Random(seed))
        shown = messages[2].content.split("\n")
        numbers = [m.content.split()[-1].rstrip(".") for m in messages if m.role == "user"]
        assert len(numbers) >= 2
        copied = [f"{n}|{text}" for n, text in zip(numbers, answers(messages), strict=True)]
        assert all(line in shown for line in copied)
