import io
import sys
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from pivot_envs.coding.env import CodingEnv
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


def test_an_episode_is_shown_as_text_and_pixels(
    tiny_tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = CodingEnv(tasks=str(tiny_tasks), render_mode="ansi")
    env.reset(seed=0, options={"task_id": "tiny-1.0/clamp"})
    env.step('{"name": "view"}')
    assert env.render().split("\n")[3:5] == ['> {"name": "view"}', "  tiny.py::clamp"]
    env.close()
    assert capsys.readouterr().out == ""
    env = CodingEnv(tasks=str(tiny_tasks), render_mode="human")
    env.reset(seed=0, options={"task_id": "tiny-1.0/clamp"})
    env.step('{"name": "view"}')
    assert env.render() is None
    env.close()
    assert capsys.readouterr().out.count("tiny.py::clamp") == 1


def test_an_episode_can_be_recorded(tiny_tasks: Path, tmp_path: Path) -> None:
    pytest.importorskip("moviepy")
    made = gym.make("pivot/Coding-v0", tasks=str(tiny_tasks), render_mode="rgb_array")
    with warnings.catch_warnings():
        # moviepy's own module uses escapes that Python has deprecated.
        warnings.filterwarnings("ignore", category=SyntaxWarning, module="moviepy")
        folder = str(tmp_path / "videos")
        env = gym.wrappers.RecordVideo(made, folder, lambda _: True, disable_logger=True)
        env.reset(seed=0)
        env.step('{"name": "view"}')
        assert isinstance(env.render(), np.ndarray)
        env.step('{"name": "submit"}')
        env.close()
    (video,) = (tmp_path / "videos").glob("*.mp4")
    assert video.stat().st_size > 0
