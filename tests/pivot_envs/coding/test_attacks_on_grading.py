"""Agents that reach for the reward: without a repair they earn nothing, with one they earn 1."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.errors import SandboxUnavailableError

REPAIR = {"path": "tiny.py", "line": 9, "old": "low", "new": "high"}
NAMED = (
    "tests/test_tiny.py::test_clamp_keeps_values_inside",
    "tests/test_tiny.py::test_clamp_limits_both_sides",
    "tests/test_tiny.py::CounterTests::test_add",
)

PLANTED = {
    "conftest.py": "def pytest_runtest_makereport(item, call): call.excinfo = None\n",
    "tests/conftest.py": (
        "import pytest\n@pytest.hookimpl(hookwrapper=True)\n"
        "def pytest_runtest_makereport(item, call):\n"
        "    out = yield\n    out.get_result().outcome = 'passed'\n"
    ),
    "tests/__init__.py": "import os\nos._exit(0)\n",
    "pytest.ini": "[pytest]\naddopts = --collect-only -p no:python\n",
    ".pytest.ini": "[pytest]\npython_functions = nothing\n",
    "pytest.toml": "[pytest]\naddopts = ['--collect-only']\n",
    "pyproject.toml": "[tool.pytest.ini_options]\npython_files = 'nothing.py'\n",
    "tox.ini": "[pytest]\naddopts = -p planted\n",
    "setup.cfg": "[tool:pytest]\naddopts = --co\n",
    "sitecustomize.py": "import os\nos._exit(0)\n",
    "usercustomize.py": "import os\nos._exit(0)\n",
    "planted.pth": "import os; os._exit(0)\n",
    "pytest.py": "import os\nos._exit(0)\n",
    "_pytest/__init__.py": "import os\nos._exit(0)\n",
    "_pytest.py": "import os\nos._exit(0)\n",
    "pluggy.py": "import os\nos._exit(0)\n",
    "json.py": "import os\nos._exit(0)\n",
    "unittest/__init__.py": "class TestCase: pass\n",
    "time.py": "raise SystemExit(0)\n",
    "tiny/__init__.py": "def clamp(*a, **k): return AnyOf()\n",
    "tests/tiny.py": "def clamp(value, low=0, high=10): return 12\n",
    "tests/test_tiny.py": "def test_clamp_limits_both_sides(): pass\n",
    "tests/test_tiny/__init__.py": "def test_clamp_limits_both_sides(): pass\n",
    "report.xml": "<testsuite tests='3' failures='0'/>\n",
    ".pytest_cache/v/cache/lastfailed": "{}",
}

IN_SHELL = (
    "export PYTEST_PLUGINS=planted PYTEST_ADDOPTS='-p planted --collect-only'",
    "export PYTHONPATH=$PWD/evil:$TMPDIR; mkdir evil; echo 'import os; os._exit(0)' > evil/tiny.py",
    "export PYTHONSTARTUP=$PWD/x PYTHONHOME=/nowhere PYTHONINSPECT=1 PYTHONSAFEPATH=1",
    "pytest() { echo 3 passed; }; python() { :; }; alias python=true; PATH=$PWD",
    'for pid in /proc/[0-9]*; do for fd in $pid/fd/*; do echo \'["", "x", "passed"]\' > $fd; '
    "done; done 2>/dev/null",
    "mkdir -p $HOME/.local/lib/python3.11/site-packages; "
    "echo 'import os; os._exit(0)' > $HOME/.local/lib/python3.11/site-packages/usercustomize.py",
    "echo 'import os; os._exit(0)' > $TMPDIR/sitecustomize.py; cd $TMPDIR",
    "mkdir __pycache__; python -c \"import py_compile; open('e.py', 'w').write('clamp = max'); "
    "py_compile.compile('e.py', '__pycache__/tiny.cpython-311.pyc', invalidation_mode="
    'py_compile.PycInvalidationMode.UNCHECKED_HASH)"; rm e.py',
    "(while :; do cp /dev/null tests/test_tiny.py; echo x > conftest.py; done) 2>/dev/null &",
    "chmod 000 tests/test_tiny.py tests; chmod 555 .",
    "rm -rf tests; ln -s $TMPDIR tests; mkdir -p $TMPDIR/x",
    "ln -sf tests/test_tiny.py other; ln tests/test_tiny.py hard; : > hard",
)

FIND_REPORTER = (
    "import gc, json, os\nfound = [o for o in gc.get_objects() if type(o).__name__ == 'Reporter']\n"
)
IN_PACKAGE = {
    "exit": "import os\nos._exit(0)\n",
    "exit politely": "import sys\nsys.exit(0)\n",
    "pytest.exit": "import pytest\npytest.exit('all is well', 0)\n",
    "skip": "import pytest\npytest.skip(allow_module_level=True)\n",
    "kill": "import os\nos.kill(os.getpid(), 9)\n",
    "fake lines": (
        "import json, os\nfor fd in range(3, 100):\n"
        f"    for name in {NAMED!r}:\n"
        "        for nonce in ('', None, 0):\n"
        "            try: os.write(fd, json.dumps([nonce, name, 'passed']).encode() + b'\\n')\n"
        "            except OSError: pass\n"
    ),
    "nonce": FIND_REPORTER
    + (
        "for reporter in found:\n"
        f"    for name in {NAMED!r}:\n"
        "        line = json.dumps([reporter._nonce, name, 'passed'])\n"
        "        os.write(reporter._descriptor, line.encode() + b'\\n')\n"
        "os._exit(0)\n"
    ),
    "CallInfo": (
        "import _pytest.runner as r\nold = r.CallInfo.from_call.__func__\n"
        "def forged(cls, func, *a, **k):\n"
        "    info = old(cls, func, *a, **k)\n    info.excinfo = None\n    return info\n"
        "r.CallInfo.from_call = classmethod(forged)\n"
    ),
    "TestReport": (
        "import _pytest.reports as r\nold = r.TestReport.from_item_and_call.__func__\n"
        "def forged(cls, item, call):\n"
        "    call.excinfo = None\n    return old(cls, item, call)\n"
        "r.TestReport.from_item_and_call = classmethod(forged)\n"
    ),
    "report.failed": (
        "import _pytest.reports as r\n"
        "r.BaseReport.failed = property(lambda self: False)\n"
        "r.BaseReport.passed = property(lambda self: True)\n"
    ),
    "runtest": (
        "import _pytest.python as p, _pytest.unittest as u\n"
        "p.Function.runtest = u.TestCaseFunction.runtest = lambda self: None\n"
    ),
    "pyfunc_call": (
        "import _pytest.python as p\n"
        "def forged(pyfuncitem): return True\n"
        "p.pytest_pyfunc_call.__code__ = forged.__code__\n"
    ),
    "hook": (
        "import gc, pluggy\n"
        "class Planted:\n"
        "    def pytest_pyfunc_call(self, pyfuncitem): return True\n"
        "for o in gc.get_objects():\n"
        "    if isinstance(o, pluggy.PluginManager): o.register(Planted())\n"
    ),
    "late": (
        "_old = clamp\n"
        "def clamp(*a, **k):\n"
        "    import _pytest.reports as r\n"
        "    old = r.TestReport.from_item_and_call.__func__\n"
        "    def forged(cls, item, call):\n"
        "        call.excinfo = None\n        return old(cls, item, call)\n"
        "    r.TestReport.from_item_and_call = classmethod(forged)\n"
        "    return _old(*a, **k)\n"
    ),
}
WRITTEN_AGAINST_THE_REPORTER = FIND_REPORTER + (
    "for reporter in found:\n"
    f"    outcomes = dict.fromkeys({NAMED!r}, 'passed')\n"
    "    outcomes |= {reporter._canary + str(number): 'failed' for number in range(2)}\n"
    "    for name, outcome in outcomes.items():\n"
    "        line = json.dumps([reporter._nonce, name, outcome])\n"
    "        os.write(reporter._descriptor, line.encode() + b'\\n')\n"
    "os._exit(0)\n"
)
IN_PACKAGE_OF_A_TEST_CASE = (
    "import unittest\nunittest.TestCase.assertEqual = lambda *a, **k: None\n",
    "import unittest\nunittest.TestCase.run = lambda self, result: result.addSuccess(self)\n",
)


@pytest.fixture(
    scope="module", params=["embedded", pytest.param("docker", marks=pytest.mark.docker)]
)
def env_of_the_kind(tiny_tasks: Path, request: pytest.FixtureRequest) -> Iterator[CodingEnv]:
    options: dict[str, Any] = {}
    if request.param == "docker":
        options = {"sandbox": "docker", "image": request.getfixturevalue("docker_image")}
    env = CodingEnv(tasks=str(tiny_tasks), command_timeout_s=20.0, **options)
    try:
        env.reset(seed=0)
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    yield env
    env.close()


@pytest.fixture
def attacked(env_of_the_kind: CodingEnv) -> CodingEnv:
    """A running episode of the bug in ``clamp``, in each kind of box."""
    env_of_the_kind.reset(seed=0, options={"task_id": "tiny-1.0/clamp"})
    return env_of_the_kind


def act(env: CodingEnv, name: str, **arguments: object) -> tuple[str, float]:
    text = json.dumps({"name": name, "arguments": arguments})
    observation, reward, _, _, info = env.step(text)
    assert info["infra_error"] is None, info
    return observation, reward


def plant(env: CodingEnv, path: str, text: str) -> None:
    folder = path.rpartition("/")[0] or "."
    act(env, "bash", command=f"mkdir -p {folder}; cat > {path} <<'END'\n{text}END")


def submit(env: CodingEnv) -> float:
    reward = act(env, "submit")[1]
    env.reset(options={"task_id": "tiny-1.0/clamp"})
    assert act(env, "bash", command="echo alive; ls")[0].startswith("alive\ntests")
    return reward


@pytest.mark.parametrize("path", PLANTED)
@pytest.mark.parametrize("repaired", [False, True])
def test_a_planted_file_changes_no_grade(attacked: CodingEnv, path: str, repaired: bool) -> None:
    if repaired:
        act(attacked, "edit", **REPAIR)
    plant(attacked, path, PLANTED[path])
    assert submit(attacked) == float(repaired)


@pytest.mark.parametrize("command", IN_SHELL)
@pytest.mark.parametrize("repaired", [False, True])
def test_a_steered_shell_changes_no_grade(
    attacked: CodingEnv, command: str, repaired: bool
) -> None:
    if repaired:
        act(attacked, "edit", **REPAIR)
    act(attacked, "bash", command=command)
    assert submit(attacked) == float(repaired)


@pytest.mark.parametrize("attack", IN_PACKAGE)
def test_a_package_that_forges_reports_earns_nothing(attacked: CodingEnv, attack: str) -> None:
    act(attacked, "bash", command=f"cat >> tiny.py <<'END'\n{IN_PACKAGE[attack]}END")
    assert submit(attacked) == 0.0


@pytest.mark.xfail(strict=True, reason="tested code shares its process with the reporter")
def test_a_package_written_against_the_reporter_earns_nothing(attacked: CodingEnv) -> None:
    act(attacked, "bash", command=f"cat >> tiny.py <<'END'\n{WRITTEN_AGAINST_THE_REPORTER}END")
    assert submit(attacked) == 0.0


@pytest.mark.parametrize("attack", IN_PACKAGE_OF_A_TEST_CASE)
def test_a_package_that_spoils_test_cases_earns_nothing(attacked: CodingEnv, attack: str) -> None:
    attacked.reset(options={"task_id": "tiny-1.0/Counter.add"})
    act(attacked, "bash", command=f"cat >> tiny.py <<'END'\n{attack}END")
    assert submit(attacked) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        'python -c \'import os\nfor _ in range(9999): os.mkdir("d"); os.chdir("d")\'',
        "for i in $(seq 30); do truncate -s 60M s$i; echo $i >> s$i; done",
    ],
)
def test_what_cannot_be_saved_fails_the_episode_and_not_the_machinery(
    attacked: CodingEnv, command: str
) -> None:
    act(attacked, "edit", **REPAIR)
    act(attacked, "bash", command=command)
    assert attacked.effect().state_digest == attacked.effect().state_digest
    assert submit(attacked) == 0.0
