import io
import sys

import numpy as np
import pytest

from pivot_envs.coding.terminal import Terminal
from pivot_envs.snapshot import Message

MESSAGES = (
    Message("user", "fix\tit"),
    Message("assistant", '{"name": "\ud800"}'),
    Message("tool", "é ☃ \x00\x1b[0m\r\n" + "x" * 500),
)


def test_the_transcript_marks_who_speaks() -> None:
    lines = Terminal().transcript(MESSAGES).split("\n")
    assert lines[0] == "# fix it"
    assert lines[1].startswith("> {")
    assert lines[2].startswith("  é")


def test_every_frame_has_the_same_size_and_the_newest_lines() -> None:
    terminal = Terminal()
    empty, few = terminal.draw(()), terminal.draw(MESSAGES)
    many = terminal.draw((*MESSAGES * 30, Message("tool", "")))
    assert empty.shape == few.shape == many.shape == (484, 616, 3)
    assert few.dtype == np.uint8
    assert len(np.unique(empty)) < len(np.unique(few))
    assert not np.array_equal(few, many)


def test_only_what_is_new_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.show_new(MESSAGES[:1])
    terminal.show_new((MESSAGES[0], Message("tool", "done")))
    terminal.show_new([Message("user", "another task")])
    assert capsys.readouterr().out == "# fix it\n  done\n# another task\n"


def test_a_terminal_without_unicode_gets_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    Terminal().show_new(MESSAGES)
    assert raw.getvalue().startswith(b'# fix it\n> {"name": "?"}\n  ? ?')
