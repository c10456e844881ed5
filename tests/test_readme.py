"""The README's code does what the README says."""

import ast
import contextlib
import doctest
import importlib
import re
from pathlib import Path

import gymnasium as gym
import pytest

import pivot_envs  # noqa: F401
from pivot_envs.errors import BrowserUnavailableError, SandboxUnavailableError, SourceError
from pivot_envs.sandbox.docker import DEFAULT_IMAGE
from pivot_envs.sandbox.engine import connect
from pivot_envs.sandbox.image import build_image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
DOCTESTS = [block for block in BLOCKS if block.startswith(">>>")]
PROGRAMS = [block for block in BLOCKS if not block.startswith(">>>")]


@pytest.fixture
def _coding_env_or_skip():
    try:
        with gym.make("pivot/Coding-v0") as env:
            env.reset(seed=0)
    except (SandboxUnavailableError, SourceError) as reason:
        pytest.skip(f"pivot/Coding-v0 cannot run here: {reason}")


def run_doctest(code: str) -> None:
    example = doctest.DocTestParser().get_doctest(code, {}, "README.md", "README.md", 0)
    runner = doctest.DebugRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example)


QUICKSTART, AGENT, MODEL, TASKS, REWARD = range(5)


def test_there_is_a_quickstart_four_things_to_plug_in_and_three_programs():
    assert len(DOCTESTS) == 5
    assert len(PROGRAMS) == 3


def test_the_quickstart_has_at_most_15_lines():
    assert len(DOCTESTS[QUICKSTART].splitlines()) <= 15


@pytest.mark.parametrize("number", [AGENT, MODEL, TASKS, REWARD])
def test_what_is_ones_own_plugs_in_with_at_most_15_lines(number):
    code = [line for line in DOCTESTS[number].splitlines() if line.startswith((">>>", "..."))]
    assert len(code) <= 15


@pytest.mark.usefixtures("_coding_env_or_skip")
def test_the_quickstart_runs():
    run_doctest(DOCTESTS[QUICKSTART])


@pytest.mark.parametrize("number", [AGENT, MODEL, TASKS, REWARD])
def test_an_own_agent_model_task_file_and_reward_run(number):
    run_doctest(DOCTESTS[number])


@pytest.mark.web
def test_the_program_with_a_web_page_runs():
    names = {}
    try:
        exec(PROGRAMS[0], names)
    except (BrowserUnavailableError, SourceError) as reason:
        pytest.skip(f"pivot/Web-v0 cannot run here: {reason}")
    assert "checked" in names["page"]
    names["env"].close()


@pytest.mark.docker
def test_the_environment_of_docker_boxes_can_be_made():
    try:
        engine = connect()
    except SandboxUnavailableError as reason:
        pytest.skip(f"Docker boxes cannot run here: {reason}")
    with contextlib.closing(engine):
        was_there = bool(engine.images(DEFAULT_IMAGE))
        if not was_there:
            build_image(DEFAULT_IMAGE)  # the command above the program
        try:
            names = {}
            exec(PROGRAMS[1], names)
            assert names["env"].unwrapped.max_turns > 0
            names["env"].close()
        finally:
            if not was_there:
                engine.remove_image(DEFAULT_IMAGE)


def test_what_the_training_program_imports_exists():
    for node in ast.walk(ast.parse(PROGRAMS[2])):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("_coding_env_or_skip")
def test_the_training_program_runs_with_smaller_numbers(monkeypatch, tmp_path, capsys):
    program = PROGRAMS[2]
    smaller = {
        "range(32)": "range(6)",
        "samples_per_state=8": "samples_per_state=4",
        "turn_budget=2000": "turn_budget=96",
        "benchmarks/models/base": str(ROOT / "benchmarks/models/base"),
    }
    for written, run in smaller.items():
        assert written in program
        program = program.replace(written, run)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(program, names)
    assert names["counter"]["profile"].turns > 0
    assert names["counter"].learning.turns >= 96
    assert "StepMetrics(step=1" in capsys.readouterr().out
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()


def test_every_linked_file_exists():
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_place_of_the_results_is_marked():
    begin, end = README.index("<!-- results:begin -->"), README.index("<!-- results:end -->")
    assert begin < end
