"""The warm interpreter: what commands see of it."""

import re
from collections.abc import Callable

from pivot_envs.sandbox.base import Sandbox

WHERE = b"import os, tempfile\n\ndef test(): print(tempfile.gettempdir(), os.getppid())\n"


def test_the_warm_interpreters_start_is_not_seen_in_the_scratch_folder(
    make_box: Callable[[], Sandbox], list_scratch: str
) -> None:
    with make_box() as fresh:
        look = f"for i in $(seq 150); do {list_scratch}; sleep 0.01; done"
        assert fresh.run(look, timeout_s=60).output == ""
        fresh.write_file("test_a.py", WHERE)
        assert fresh.run_tests(["test_a.py"], timeout_s=30).outcomes


def test_a_warm_run_puts_scratch_files_where_a_cold_one_does(box: Sandbox) -> None:
    box.write_file("test_a.py", WHERE)
    box.run("mkdir scratch; export TMPDIR=$PWD/scratch", timeout_s=10)
    warm = box.run("pytest -q -s test_a.py", timeout_s=30).output
    cold = box.run("pytest -q -s test_a.py; :", timeout_s=30).output
    places = [re.findall(r"(.*/scratch) (\d+)", output)[0] for output in (warm, cold)]
    assert places[0][0] == places[1][0]
    assert places[0][1] != places[1][1], "both were started by the shell: neither was warm"
