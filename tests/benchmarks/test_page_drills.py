import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.page_drills import click_drill, page_drill
from benchmarks.page_probe import SIZES, measure
from benchmarks.web_corpus import build_pages
from pivot_agents.policy import Completion, Context
from pivot_agents.tiny import train_tokenizer
from pivot_envs import Message

WORDS = ("alpha", "beta", "gamma", "delta", "zeta", "eta")
LINE = re.compile(r'\[(\d+)\] (\w+) "([^"]*)"(?: options: ([^\n\[]*))?')


def drills(count: int) -> Iterator[tuple[Message, ...]]:
    return (page_drill(WORDS, random.Random(seed)) for seed in range(count))


def names_by_ref(messages: tuple[Message, ...]) -> dict[int, str]:
    return {int(ref): name for ref, _, name, _ in LINE.findall(messages[0].content)}


def is_where(messages: tuple[Message, ...]) -> bool:
    return "Where are " in messages[0].content


def calls(messages: tuple[Message, ...]) -> list[tuple[str, dict[str, object]]]:
    """Return each call with the words that ask for it."""
    asked = ""
    found = []
    for message in messages:
        if message.role == "user":
            asked = message.content.partition("\n\n")[0]
        elif message.role == "assistant":
            found.append((asked, json.loads(message.content)))
    return found


def test_every_call_of_a_page_drill_does_what_was_asked_of_it() -> None:
    for messages in drills(200):
        if is_where(messages):
            continue
        names = names_by_ref(messages)
        page = messages[0].content.partition("\n\n")[2]
        options = {int(ref): choices for ref, _, _, choices in LINE.findall(page) if choices}
        for asked, call in calls(messages):
            given = call["arguments"]
            if call["name"] == "answer":
                assert given["text"] == names[int(re.findall(r"\[(\d+)\]", asked)[0])]
            elif call["name"] == "select":
                assert given["option"] in asked
                assert given["option"] in options[given["ref"]]
            else:
                assert names[given["ref"]] in asked


def test_a_drill_that_asks_where_things_are_tells_their_numbers_in_the_order_of_their_names() -> (
    None
):
    asking = [messages for messages in drills(200) if is_where(messages)]
    assert len(asking) > 50
    for messages in asking:
        names = names_by_ref(messages)
        question = re.search(r"Where are (.*)\?", messages[0].content)
        assert question is not None
        refs = json.loads(messages[-1].content)["arguments"]["text"].split()
        assert question[1].replace('"', "") == ", ".join(names[int(ref)] for ref in refs)


def test_the_elements_of_a_page_drill_have_names_and_numbers_of_their_own() -> None:
    for messages in drills(200):
        found = LINE.findall(messages[0].content)
        assert len({ref for ref, *_ in found}) == len(found)
        assert len({name for *_, name, _ in found}) == len(found)


def test_actions_named_beforehand_come_in_the_order_of_their_names() -> None:
    in_order = [m for m in drills(200) if any(each.role == "tool" for each in m)]
    assert len(in_order) > 20
    for messages in in_order:
        goal, names = messages[0].content.partition("\n\n")[0], names_by_ref(messages)
        clicked = [names[call["arguments"]["ref"]] for _, call in calls(messages)]
        places = re.search("(?:, | > )".join(f'"?{re.escape(name)}"?' for name in clicked), goal)
        assert places is not None


def test_page_drills_are_built_once_and_long_ones_are_left_out(tmp_path: Path) -> None:
    texts = ["\n".join(message.content for message in messages) for messages in drills(20)]
    train_tokenizer(texts, 400).save_pretrained(tmp_path / "tokenizer")
    build_pages(tmp_path, seed=1, max_tokens=300, count=20)
    with np.load(tmp_path / "pages.npz") as stored:
        lengths = stored["lengths"]
    assert 0 < len(lengths) < 20
    assert lengths.max() <= 300
    written = (tmp_path / "pages.npz").stat().st_mtime_ns
    build_pages(tmp_path, seed=1, max_tokens=300, count=20)
    assert (tmp_path / "pages.npz").stat().st_mtime_ns == written


def test_what_is_found_is_counted_by_the_size_of_the_page_and_a_guess_beside_it() -> None:
    asked = [click_drill(WORDS, random.Random(seed)) for seed in range(100)]
    answers = {messages[0].content: messages[1].content for messages in asked}
    knowing = list(measure(Knowing(answers), asked))
    assert [one.size for one in knowing] == list(SIZES)
    assert sum(one.asked for one in knowing) == 100
    for one in knowing:
        assert one.found == one.asked
        assert one.asked / one.size <= one.guessed <= one.asked / 2
    guesses = dict.fromkeys(answers, '{"name": "click", "arguments": {"ref": 0}}')
    assert [one.found for one in measure(Knowing(guesses), asked)] == [0, 0, 0]


class Knowing:
    """Answers from a table, greedy or not."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self._answers = answers

    def greedy(self) -> "Knowing":
        return self

    def act(self, contexts: Sequence[Context]) -> list[Completion]:
        return [Completion(self._answers[context.messages[-1].content]) for context in contexts]
