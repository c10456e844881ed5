"""The pages under docs do what they say."""

import re
from pathlib import Path

import gymnasium as gym

ROOT = Path(__file__).parents[1]


def programs(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def test_an_environment_of_ones_own_is_checked_demonstrated_and_trained_in(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    names = {"__name__": "own_environment"}
    try:
        for program in programs("own-environment.md"):
            exec(program, names)
    finally:
        gym.registry.pop("my/Safe-v0", None)
    assert capsys.readouterr().out.count("StepMetrics(step=") == 2
    assert len(names["candidates"]) >= len(names["demonstrations"])
    assert all(each.is_success for each in names["demonstrations"])
