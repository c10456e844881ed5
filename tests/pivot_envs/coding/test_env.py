import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.coding.task_file import read_tasks, write_tasks
from pivot_envs.errors import SandboxError, SnapshotError, TaskError
from pivot_envs.sandbox.base import CommandResult
from pivot_envs.sandbox.choice import SandboxChoice
from pivot_envs.sandbox.embedded import EmbeddedSandbox

CLAMP = "tiny-1.0/clamp"
VIEWED = """\
tiny.py::clamp
4|def clamp(value, low=0, high=10):
5|    \"""Return value, but at least low and at most high: low <= value.\"""
6|    if value < low:
7|        return low
8|    if value > high:
9|        return low
10|    return value"""


def act(env: "gym.Env[str, str]", name: str, **arguments: Any) -> str:
    observation, reward, terminated, truncated, info = env.step(
        json.dumps({"name": name, "arguments": arguments})
    )
    assert (reward, terminated, truncated, info["infra_error"]) == (0.0, False, False, None)
    return observation


class MortalEnv(CodingEnv):
    """An environment whose box can be made to die."""

    def kill_box(self) -> None:
        assert isinstance(self._sandbox, EmbeddedSandbox)
        assert self._sandbox._channel is not None
        self._sandbox._channel.sock.shutdown(2)


def test_the_first_observation_is_the_issue(tiny_env: CodingEnv) -> None:
    observation, info = tiny_env.reset(options={"task_id": CLAMP})
    assert observation.startswith("tiny 1.0: 1 test fails.\ntests/test_tiny.py::test_clamp_limits")
    assert info["task_id"] == CLAMP


def test_the_isolation_level_is_told_at_the_beginning(tiny_env: CodingEnv) -> None:
    _, info = tiny_env.reset(seed=0)
    assert info["sandbox_level"] in ("namespaces", "landlock")
    _, info = tiny_env.reset(options={"snapshot": tiny_env.snapshot()})
    assert info["sandbox_level"] in ("namespaces", "landlock")


def test_view_alone_shows_the_function_that_the_test_calls(tiny_env: CodingEnv) -> None:
    assert act(tiny_env, "view") == VIEWED


def test_view_alone_follows_the_last_traceback(tiny_env: CodingEnv) -> None:
    act(tiny_env, "edit", path="tiny.py", start=21, end=21, text="        return self.lost")
    act(tiny_env, "bash", command="python -m pytest -q --tb=short tests/test_tiny.py")
    assert act(tiny_env, "view").startswith("tiny.py::Counter.add\n18|    def add(self, amount):")


def test_view_alone_goes_on_to_the_next_suspect_and_a_resumed_episode_too(
    tiny_env: CodingEnv,
) -> None:
    assert act(tiny_env, "view") == VIEWED
    snapshot = tiny_env.snapshot()
    second = act(tiny_env, "view")
    assert second.startswith("tiny.py::Counter.add\n18|")
    assert act(tiny_env, "view") == VIEWED  # after the last one from the beginning
    tiny_env.reset(options={"snapshot": snapshot})
    assert act(tiny_env, "view") == second


def test_view_shows_lines_of_the_file_viewed_last(tiny_env: CodingEnv) -> None:
    assert act(tiny_env, "view", path="tiny.py", start=6, end=7) == (
        "tiny.py\n6|    if value < low:\n7|        return low"
    )
    assert act(tiny_env, "view", start=-5, end=1) == 'tiny.py\n1|"""A tiny package."""'
    assert act(tiny_env, "view", path="::Counter.add").startswith("tiny.py::Counter.add\n18|")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "lost.py"}, "cannot read 'lost.py'"),
        ({"path": "../../etc/passwd"}, "cannot read"),
        ({"path": "tests"}, "cannot read 'tests'"),
        ({"path": "tiny.py::lost"}, "tiny.py defines no function 'lost'"),
        ({"path": "tiny.py", "start": 99}, "tiny.py has 26 lines: nothing to show there"),
        ({"start": 3}, "no file was viewed or edited before"),
    ],
)
def test_view_says_what_is_wrong(
    tiny_env: CodingEnv, arguments: dict[str, Any], message: str
) -> None:
    assert act(tiny_env, "view", **arguments).startswith(f"error: {message}")


def test_view_alone_shows_a_suspect_where_nothing_points_to_a_place(tiny_env: CodingEnv) -> None:
    act(tiny_env, "bash", command="rm -r tests")
    assert act(tiny_env, "view").startswith("tiny.py::clamp\n")


def test_an_edit_shows_its_lines_and_what_they_break(tiny_env: CodingEnv) -> None:
    assert act(tiny_env, "edit", line=9, old="low", new="high") == (
        "edited tiny.py\n9|        return high"
    )
    broken = act(tiny_env, "edit", start=9, end=9, text="    (\n")
    assert broken.startswith("edited tiny.py\n9|    (\nSyntaxError: ")
    assert act(tiny_env, "edit", start=9, end=9, text="") == (
        "edited tiny.py\n"
        "SyntaxError: expected an indented block after 'if' statement on line 8 (line 9)"
    )
    assert act(tiny_env, "edit", path="tests", start=1, end=0, text="").startswith("error: ")


def test_a_command_without_text_runs_the_failing_tests(tiny_env: CodingEnv) -> None:
    output = act(tiny_env, "bash")
    assert "in test_clamp_limits_both_sides" in output
    assert output.endswith("1 failed\n[exit code 1]")
    act(tiny_env, "edit", path="tiny.py", line=9, old="low", new="high")
    assert act(tiny_env, "bash").endswith("1 passed\n[exit code 0]")


def test_the_shell_lives_from_turn_to_turn(tiny_env: CodingEnv) -> None:
    assert act(tiny_env, "bash", command="cd tests; A=1; f() { echo f$A; }") == "[exit code 0]"
    assert act(tiny_env, "bash", command="f; pwd; false") == "f1\n/workspace/tests\n[exit code 1]"


def test_a_timeout_kills_the_process_tree_and_says_so(tiny_tasks: Path) -> None:
    env = CodingEnv(tasks=str(tiny_tasks), command_timeout_s=2.0)
    env.reset(seed=0)
    output = act(env, "bash", command="echo begun; (sleep 777 & sleep 777); echo over")
    assert output == "begun\n[timed out after 2 s; all its processes were killed]"
    found = act(env, "bash", command="grep -l '[7]77' /proc/[0-9]*/cmdline 2>/dev/null | wc -l")
    assert found == "0\n[exit code 0]"
    env.close()


def test_long_output_is_clipped(tiny_tasks: Path) -> None:
    env = CodingEnv(tasks=str(tiny_tasks), max_output_chars=100)
    env.reset(seed=0, options={"task_id": CLAMP})
    output = act(env, "bash", command="seq 1 1000")
    assert "\n[... 3792 characters omitted ...]\n" in output
    assert output.endswith("999\n1000\n[exit code 0]")
    assert "characters omitted" in act(env, "view", path="tiny.py")
    env.close()


def test_an_episode_that_runs_out_of_turns_is_graded_as_it_stands(tiny_tasks: Path) -> None:
    env = CodingEnv(tasks=str(tiny_tasks), max_turns=2)
    for new, expected in (("high", 1.0), ("value", 0.0)):
        env.reset(seed=0, options={"task_id": CLAMP})
        act(env, "edit", path="tiny.py", line=9, old="low", new=new)
        _, reward, terminated, truncated, info = env.step("no tool call")
        assert (reward, terminated, truncated) == (expected, False, True)
        assert info["is_success"] is (expected == 1.0)
        with pytest.raises(gym.error.ResetNeeded):
            env.step("no tool call")
    env.close()


def test_a_box_that_dies_truncates_the_episode_and_is_replaced(tiny_tasks: Path) -> None:
    env = MortalEnv(tasks=str(tiny_tasks))
    env.reset(seed=0, options={"task_id": CLAMP})
    snapshot = env.snapshot()
    env.kill_box()
    observation, reward, terminated, truncated, info = env.step('{"name": "bash"}')
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert observation.startswith("infrastructure error: ")
    assert info["infra_error"].startswith("SandboxError: ")
    with pytest.raises(gym.error.ResetNeeded):
        env.step('{"name": "view"}')
    env.reset(options={"snapshot": snapshot})
    assert act(env, "view") == VIEWED
    env.kill_box()
    env.reset(seed=0, options={"task_id": CLAMP})
    assert act(env, "view") == VIEWED
    env.close()


def test_a_box_that_dies_at_the_last_turn_earns_no_reward_of_zero(tiny_tasks: Path) -> None:
    class LastTurnEnv(MortalEnv):
        def _score_unfinished(self) -> tuple[float, str | None]:
            self.kill_box()
            return super()._score_unfinished()

    env = LastTurnEnv(tasks=str(tiny_tasks), max_turns=1)
    env.reset(seed=0)
    *_, truncated, info = env.step("no tool call")
    assert truncated
    assert info["infra_error"].startswith("SandboxError: ")
    env.close()


def test_a_machine_without_a_box_stops_the_reset(tiny_tasks: Path) -> None:
    class BrokenBox(EmbeddedSandbox):
        def run(self, command: str, *, timeout_s: float) -> CommandResult:
            raise SandboxError("broken")

    class BrokenEnv(CodingEnv):
        def _make_sandbox(self, choice: SandboxChoice) -> EmbeddedSandbox:
            return BrokenBox(unsafe=choice.unsafe)

    env = BrokenEnv(tasks=str(tiny_tasks))
    env.reset(seed=0)
    *_, truncated, info = env.step('{"name": "bash"}')
    assert truncated
    assert info["infra_error"] == "SandboxError: broken"
    env.close()


def test_a_snapshot_keeps_files_shell_and_what_was_viewed(tiny_env: CodingEnv) -> None:
    act(tiny_env, "view", path="tests/test_tiny.py")
    act(tiny_env, "bash", command="mkdir -p a/b; ln -s none a/link; chmod 700 a; X=1; cd a")
    snapshot, digest = tiny_env.snapshot(), tiny_env.effect().state_digest
    act(tiny_env, "bash", command="cd ..; rm -r a; X=2; echo lost > tiny.py")
    assert tiny_env.effect().state_digest != digest
    tiny_env.reset(options={"snapshot": snapshot})
    assert tiny_env.effect().state_digest == digest
    command = 'echo $X; pwd; stat -c %a .; readlink link; ls -d "$PWD"/*'
    assert act(tiny_env, "bash", command=command).split("\n") == [
        "1",
        "/workspace/a",
        "700",
        "none",
        "/workspace/a/b",
        "/workspace/a/link",
        "[exit code 0]",
    ]
    assert act(tiny_env, "view", start=1, end=1) == "tests/test_tiny.py\n1|import time"


def test_a_resumed_episode_keeps_its_horizon(tiny_tasks: Path) -> None:
    env = CodingEnv(tasks=str(tiny_tasks), max_turns=3)
    env.reset(seed=0)
    act(env, "view")
    snapshot = env.snapshot()
    for _ in range(2):
        env.reset(options={"snapshot": snapshot})
        act(env, "view")
        assert env.step('{"name": "view"}')[3]
    env.close()


def test_a_snapshot_of_a_changed_or_unknown_task_is_refused(
    tiny_env: CodingEnv, tiny_tasks: Path, tmp_path: Path
) -> None:
    snapshot = tiny_env.snapshot()
    clamp, add = read_tasks(tiny_tasks)
    for tasks, message in (
        ([replace(clamp, issue="another")], "has changed"),
        ([add], "not among"),
    ):
        path = tmp_path / "other.jsonl"
        write_tasks(path, tasks)
        env = CodingEnv(tasks=str(path))
        with pytest.raises(SnapshotError, match=message):
            env.reset(options={"snapshot": snapshot})
        assert env.reset(seed=0)[0]
        env.close()


def test_wrong_arguments_are_refused(tiny_tasks: Path, tiny_env: CodingEnv) -> None:
    with pytest.raises(ValueError, match=r"must be positive, got 0 and 30\.0"):
        CodingEnv(tasks=str(tiny_tasks), max_output_chars=0)
    with pytest.raises(ValueError, match="must be positive"):
        CodingEnv(tasks=str(tiny_tasks), command_timeout_s=0.0)
    with pytest.raises(TaskError, match="split"):
        CodingEnv(tasks=str(tiny_tasks), split="lost")
    with pytest.raises(ValueError, match="unknown task_id 'lost'"):
        tiny_env.reset(options={"task_id": "lost"})
    with pytest.raises(ValueError, match="unknown task_id"):
        tiny_env.reset(options={"task_id": ["lost"]})


def test_an_episode_is_drawn_by_its_seed(tiny_env: CodingEnv) -> None:
    drawn = [tiny_env.reset(seed=seed)[1]["task_id"] for seed in range(8)]
    assert drawn == [tiny_env.reset(seed=seed)[1]["task_id"] for seed in range(8)]
    assert set(drawn) == set(tiny_env.task_ids)
