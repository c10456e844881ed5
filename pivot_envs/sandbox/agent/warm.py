"""The warm interpreter: imports pytest once and forks a child for every run.

It runs as a program of its own beside ``code_cache.py`` and ``warm_up_tests.py``, and gets two
arguments: the descriptor of a message socket to the agent, and the numbers ``uid,gid`` of the
children or ``-``.
A request is one message with four descriptors: the request as JSON, and what the child gets as
stdin, as stdout and stderr, and for its report.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import json
import linecache
import os
import random
import runpy
import signal
import socket
import sys
import tempfile
import threading
import unittest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pivot_envs.sandbox.agent.code_cache import CodeCache
else:
    from code_cache import CodeCache

_PR_SET_DUMPABLE = 4


class Reporter:
    """A pytest plugin that reports each finished test's outcome on a descriptor.

    Around the tests it runs some that fail: code that makes every test pass makes these pass too.
    """

    def __init__(self, descriptor: int, request: dict[str, Any]) -> None:
        """Report on ``descriptor``; run only tests below the ids ``wanted`` unless it is None."""
        from _pytest.runner import runtestprotocol

        self._descriptor = descriptor
        self._nonce: str = request["nonce"]
        self._canary: str = request["canary"]
        self._wanted: list[str] | None = request["wanted"]
        self._outcomes: dict[str, str] = {}
        self._run_item = runtestprotocol

    def pytest_collection_finish(self, session: Any) -> None:
        """Run the failing tests before the others."""
        if session.items:
            self._run_canaries(session, session.items[0])

    def pytest_sessionfinish(self, session: Any) -> None:
        """Run them again after the others."""
        if session.items:
            self._run_canaries(session, None)

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        """Leave out the tests that are not wanted."""
        if self._wanted is not None:
            wanted = tuple(self._wanted)
            starts = tuple(name + mark for name in wanted for mark in ("::", "[", "/"))
            items[:] = [i for i in items if i.nodeid in wanted or i.nodeid.startswith(starts)]

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Merge one phase, or one subtest, into its test's outcome."""
        self._merge(report)
        if report.when == "teardown":
            self._tell(report.nodeid, report.nodeid)

    def _run_canaries(self, session: Any, following: Any) -> None:
        import pytest
        from _pytest.fixtures import FuncFixtureInfo

        nothing = FuncFixtureInfo((), (), [], {})
        for number, body in enumerate((fail, fail_in_a_case)):
            item = pytest.Function.from_parent(
                session, name=f"canary{number}", callobj=body, fixtureinfo=nothing
            )
            self._outcomes[item.nodeid] = "passed"
            try:
                for report in self._run_item(item, log=False, nextitem=following):
                    self._merge(report)
            except Exception:  # A project's own hooks may not expect a test outside a module.
                self._outcomes[item.nodeid] = "error"
            self._tell(f"{self._canary}{number}", item.nodeid)

    def _tell(self, name: str, node: str) -> None:
        line = json.dumps([self._nonce, name, self._outcomes[node]])
        os.write(self._descriptor, line.encode() + b"\n")

    def _merge(self, report: Any) -> None:
        name = report.nodeid
        before = self._outcomes.get(name, "passed")
        if report.failed:
            outcome = "failed" if report.when == "call" else "error"
            self._outcomes[name] = before if before in ("failed", "error") else outcome
        elif report.skipped and before == "passed" and not hasattr(report, "context"):
            self._outcomes[name] = "skipped"
        else:
            self._outcomes.setdefault(name, "passed")


def fail() -> None:
    """Fail as an assert statement does."""
    raise AssertionError


def fail_in_a_case() -> None:
    """Fail if a test case does that has to."""
    result = unittest.TestResult()
    equal = unittest.TestCase().assertEqual
    unittest.FunctionTestCase(lambda: equal(1, 2)).run(result)
    assert result.wasSuccessful()


def warm_up() -> CodeCache:
    """Import pytest and what a run imports late, by running some tests.

    They lie beside this file, where commands cannot write, and leave no trace in the scratch
    folder, where a command would see it or not by chance.

    Raises:
        ImportError: There is no pytest.
    """
    import pytest

    cache = CodeCache()
    modules, path = set(sys.modules), list(sys.path)
    test = os.path.join(os.path.dirname(__file__), "warm_up_tests.py")
    # Finding the folder would try it with a file; what pytest captures to has no name there.
    tempfile.tempdir = os.environ["TMPDIR"]
    null = os.open(os.devnull, os.O_WRONLY)
    saved = os.dup(1)
    os.dup2(null, 1)
    try:
        pytest.main([*_WARM_UP_OPTIONS, test])
        sys.stdout.flush()
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(null)
        # Runs find theirs by their own environment.
        tempfile.tempdir = None
    for name in set(sys.modules) - modules:
        if name.startswith("warm_up_tests"):
            del sys.modules[name]
    sys.path[:] = path
    cache.missed.clear()
    linecache.clearcache()
    sys.path_importer_cache.clear()
    os.environ.pop("PYTEST_VERSION", None)
    return cache


_WARM_UP_OPTIONS = (
    *("-p", "no:cacheprovider", "--noconftest", "-c", os.devnull),
    *("--rootdir", os.path.dirname(__file__)),
)
"""Nothing of what commands can write may steer this interpreter, which grades them."""


def run_child(request: dict[str, Any], report: int, cache: CodeCache) -> int:
    """Run pytest as the request says, in this freshly forked process; return its exit code."""
    os.umask(request["umask"])
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[0] = request["path"]
    extra = request["environment"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[1:1] = [item or os.getcwd() for item in extra if extra != [""]]
    sys.argv[:] = [request["script"] or "pytest", *request["arguments"]]
    random.seed(0)
    if not request["nonce"]:
        # The entries that a cold start would run; both end in SystemExit.
        if request["script"]:
            runpy.run_path(request["script"], run_name="__main__")
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    import pytest

    reporter = Reporter(report, request)
    return int(pytest.main(request["arguments"], plugins=[reporter]))


def become_child(
    request: dict[str, Any], descriptors: list[int], ids: tuple[int, int] | None, misses: int
) -> int:
    """Take the child's user, descriptors and signals; return the report's descriptor."""
    if ids is not None:
        os.setgroups([])
        os.setresgid(ids[1], ids[1], ids[1])
        os.setresuid(ids[0], ids[0], ids[0])
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    os.dup2(descriptors[1], 0)
    os.dup2(descriptors[2], 1)
    os.dup2(descriptors[2], 2)
    keep = {descriptors[3], misses}
    start = 3
    for descriptor in sorted(keep):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, 4096)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return descriptors[3]


def end_child(code: int, cache: CodeCache, misses: int) -> None:
    """Tell what was compiled in vain, then end as an interpreter ends."""
    with contextlib.suppress(Exception):
        text = json.dumps(cache.missed[:200]).encode()
        if len(text) <= 60000:
            os.write(misses, text)
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
    os._exit(code)


def serve(agent: socket.socket, ids: tuple[int, int] | None, cache: CodeCache) -> None:
    """Fork one child for each request, until the agent goes away."""
    agent.send(b'{"ready": true}')
    while True:
        message, descriptors, _, _ = socket.recv_fds(agent, 16, 4)
        if not message:
            return
        with open(descriptors[0], "rb", closefd=False) as file:
            request = json.load(file)
        read_misses, write_misses = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            # Commands hold every process that the box may have.
            for descriptor in (*descriptors, read_misses, write_misses):
                os.close(descriptor)
            agent.send(json.dumps({"refused": str(error)}).encode())
            continue
        if pid == 0:
            code = 70
            try:
                report = become_child(request, descriptors, ids, write_misses)
                code = run_child(request, report, cache)
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                code = 1
            finally:
                end_child(code, cache, write_misses)
        for descriptor in (*descriptors, write_misses):
            os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        os.set_blocking(read_misses, False)
        with open(read_misses, "rb", buffering=0) as pipe:
            misses = pipe.read(65536) or b"[]"
        # Whoever counts descriptors after the answer finds none of this run.
        agent.send(json.dumps({"status": status}).encode())
        learn(cache, misses)


def learn(cache: CodeCache, misses: bytes) -> None:
    """Compile what the last child missed, for the next one."""
    # Tested code can write here what it likes, `[` thousands of times for instance.
    with contextlib.suppress(Exception):
        for kind, path in json.loads(misses):
            cache.fill(str(kind), str(path))
    gc.collect()
    gc.freeze()


def main() -> None:
    """Warm up, then serve."""
    agent = socket.socket(fileno=int(sys.argv[1]))
    numbers = sys.argv[2].split(",")
    ids = None if numbers == ["-"] else (int(numbers[0]), int(numbers[1]))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    try:
        cache = warm_up()
    except ImportError as error:
        agent.send(json.dumps({"failed": str(error)}).encode())
        return
    gc.collect()
    gc.freeze()
    serve(agent, ids, cache)


if __name__ == "__main__":
    main()
