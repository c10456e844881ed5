import time

import pytest

from pivot_envs.sandbox.base import Sandbox
from pivot_envs.sandbox.embedded import EmbeddedSandbox


def output_of(box: Sandbox, command: str, timeout_s: float = 10.0) -> str:
    result = box.run(command, timeout_s=timeout_s)
    assert result.exit_code == 0, result
    return result.output


def test_the_shell_starts_in_the_workspace_as_an_unprivileged_user(box: Sandbox) -> None:
    assert output_of(box, "pwd; echo $HOME; (($(id -u) == 0)) || echo user") == (
        "/workspace\n/tmp\nuser\n"
    )


def test_variables_folder_and_functions_survive_between_commands(box: Sandbox) -> None:
    box.run("mkdir sub; cd sub; X='a b'; greet() { echo hi $1; }; alias say=echo", timeout_s=5)
    assert output_of(box, 'pwd; echo "$X"; greet you; say so') == (
        "/workspace/sub\na b\nhi you\nso\n"
    )


def test_stdout_and_stderr_come_in_order_with_the_exit_code(box: Sandbox) -> None:
    result = box.run("echo one; echo two >&2; echo three; (exit 7)", timeout_s=5)
    assert (result.output, result.exit_code, result.timed_out) == ("one\ntwo\nthree\n", 7, False)


def test_the_last_exit_code_is_known_to_the_next_command(box: Sandbox) -> None:
    box.run("false", timeout_s=5)
    assert output_of(box, "echo $?") == "1\n"


def test_a_syntax_error_is_reported_and_the_shell_goes_on(box: Sandbox) -> None:
    result = box.run("if true; then", timeout_s=5)
    assert result.exit_code == 2
    assert "syntax error" in result.output
    assert output_of(box, "echo on") == "on\n"


@pytest.mark.parametrize(
    "command",
    ["echo 'open", 'echo "open', "((", "[[ a", "echo $(", "for i in 1; do", "break", "continue"],
)
def test_no_command_can_spoil_the_next_one(box: Sandbox, command: str) -> None:
    box.run("X=kept", timeout_s=5)
    assert not box.run(f"X=changed\n{command}", timeout_s=5).timed_out
    assert output_of(box, "echo $X") == "changed\n"


@pytest.mark.parametrize("command", ["nothing_of_this_name", "\necho 'open", "cat <<END", "echo )"])
def test_messages_do_not_depend_on_earlier_commands(box: Sandbox, command: str) -> None:
    first = box.run(command, timeout_s=5)
    box.run("true; true\ntrue", timeout_s=5)
    second = box.run(command, timeout_s=5)
    box.load(box.save())
    assert first == second == box.run(command, timeout_s=5)
    assert "bash: " in first.output


def test_commands_have_no_input(box: Sandbox) -> None:
    assert output_of(box, "cat; echo end") == "end\n"


def test_a_here_document_and_a_long_command_arrive_whole(box: Sandbox) -> None:
    text = "x" * 100_000
    assert output_of(box, f"cat <<'END' | wc -c\n{text}\nEND") == "100001\n"


@pytest.mark.parametrize(
    ("command", "code"), [("exit 3", 3), ("exec false", 1), ("kill -9 $$", 137)]
)
def test_an_ended_shell_comes_back_as_it_was(box: Sandbox, command: str, code: int) -> None:
    box.run("cd /tmp; X=kept", timeout_s=5)
    assert box.run(f"X=lost; cd /; {command}", timeout_s=5).exit_code == code
    assert output_of(box, "pwd; echo $X") == "/tmp\nkept\n"


def test_a_timeout_returns_what_was_printed_and_keeps_the_shell(box: Sandbox) -> None:
    box.run("X=kept", timeout_s=5)
    started = time.monotonic()
    result = box.run("echo begun; X=lost; sleep 30; echo never", timeout_s=1.0)
    assert time.monotonic() - started < 20
    assert (result.output, result.exit_code, result.timed_out) == ("begun\n", None, True)
    assert output_of(box, "echo $X") == "kept\n"


@pytest.mark.parametrize(
    "command",
    [
        "setsid sleep 31 & sleep 31",
        "(setsid setsid sleep 31 &) ; nohup sleep 31 & sleep 31",
        "while :; do sleep 31; done",
        "while :; do :; done",
        "python -c 'import os, time; os.fork(); os.setsid(); time.sleep(31)' & wait",
    ],
)
def test_a_timeout_ends_every_process_of_the_command(box: Sandbox, command: str) -> None:
    assert box.run(command, timeout_s=0.3).timed_out
    assert output_of(box, "pgrep -c 'sleep|python' -u $(id -u) || true") == "0\n"


def test_a_timeout_spares_processes_of_earlier_commands(box: Sandbox) -> None:
    box.run("sleep 32 &", timeout_s=5)
    assert box.run("sleep 31", timeout_s=0.3).timed_out
    assert output_of(box, "pgrep -aU $(id -u) sleep | cut -d' ' -f2-") == "sleep 32\n"


def test_a_fork_bomb_is_bounded_and_ended(box: Sandbox) -> None:
    assert box.run("bomb() { bomb | bomb & }; bomb; sleep 31", timeout_s=1.0).timed_out
    assert output_of(box, "echo alive") == "alive\n"


def test_long_output_keeps_head_and_tail_around_a_marker(box: Sandbox) -> None:
    result = box.run("seq 1 100000", timeout_s=10)
    head, _, rest = result.output.partition("\n[... ")
    omitted, _, tail = rest.partition(" bytes omitted ...]\n")
    assert head.startswith("1\n2\n")
    assert tail.endswith("99999\n100000\n")
    assert int(omitted) == result.omitted_bytes
    assert len(head) + len(tail) + result.omitted_bytes == sum(
        len(f"{n}\n") for n in range(1, 100_001)
    )


def test_the_marker_never_cuts_a_character() -> None:
    with EmbeddedSandbox(max_output_bytes=101) as box:
        result = box.run("python -c 'print(\"äöü€😀\" * 100)'", timeout_s=5)
        assert "\ufffd" not in result.output


def test_an_endless_flood_is_ended_in_time_with_bounded_output(box: Sandbox) -> None:
    result = box.run("yes", timeout_s=0.5)
    assert result.timed_out
    assert len(result.output) < 21_000


def test_output_that_is_no_text_is_shown_with_replacements(box: Sandbox) -> None:
    assert output_of(box, r"printf 'a\377b'") == "a\ufffdb"


def test_output_of_background_processes_comes_with_the_next_command(box: Sandbox) -> None:
    box.run("(sleep 0.2; echo late; touch done) &", timeout_s=5)
    assert output_of(box, "until test -e done; do sleep 0.05; done") == "late\n"


def test_a_nul_character_and_lone_surrogates_do_not_break_the_shell(box: Sandbox) -> None:
    assert box.run("echo a\0b", timeout_s=5).exit_code == 2
    assert output_of(box, "echo \ud800") == "?\n"


def test_the_shell_closing_its_own_output_does_not_hang(box: Sandbox) -> None:
    assert box.run("exec >&- 2>&-", timeout_s=2).exit_code == 0
    assert not box.run("true", timeout_s=2).timed_out


def test_tracing_and_strict_options_do_not_break_the_shell(box: Sandbox) -> None:
    box.run("set -eu", timeout_s=5)
    assert output_of(box, "echo on") == "on\n"
    assert box.run("false", timeout_s=5).exit_code == 1
    assert output_of(box, "echo still; shopt -po errexit nounset") == (
        "still\nset -o errexit\nset -o nounset\n"
    )
    assert box.run("set -n", timeout_s=0.5).exit_code is None
    assert output_of(box, "echo on") == "on\n"
