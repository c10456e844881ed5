"""ForeignSite, tasks on a web program of others that keeps its state in files."""

import fnmatch
import os
import shutil
import socket
import subprocess
import tempfile
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from pivot_envs.errors import InfraError, SnapshotError
from pivot_envs.snapshot import sha256
from pivot_envs.web.forwarder import Forwarder
from pivot_envs.web.suite import PageState, Start, Suite, Verdict

_POLL_S = 0.02
_STOP_TIMEOUT_S = 5.0


class ForeignSite(Suite):
    """Tasks on any program that serves pages on a port of 127.0.0.1 and keeps its state in files.

    A subclass says how the program's files are made (``create``), how it is started (``command``),
    what a task is (``task``) and how it is judged (``accepts``). The state that is saved and
    brought back is every file of one folder. A restore stops the program, puts the files back
    and starts it again, so that nothing of another episode is left in its memory; what it keeps in
    memory alone is lost. The browser knows the program as ``host``, without a port.

    What a page shows of the machine's clock or of chance is not brought back: configure the
    program to show neither.
    """

    tools = ("goto", "back", "answer", "submit")
    host: ClassVar[str] = "site.test"
    """Name of the site in addresses."""
    not_state: ClassVar[tuple[str, ...]] = ()
    """Patterns of files that are no state, relative to the folder, as in ``("log/*",)``."""
    start_timeout_s: ClassVar[float] = 30.0
    """Seconds after which a program that does not listen counts as failed."""

    def __init__(self) -> None:
        """Create the suite; the program starts at the first ``begin``."""
        self._folder: Path | None = None
        self._created: Mapping[str, bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._forwarder: Forwarder | None = None
        self._task = ("", 0)
        self._goal = ""

    @abstractmethod
    def create(self, folder: Path) -> None:
        """Make the program's first files; called once, in an empty folder."""

    @abstractmethod
    def command(self, folder: Path, port: int) -> Sequence[str]:
        """Return the command that serves the folder on a port of 127.0.0.1."""

    @abstractmethod
    def task(self, template: str, seed: int, folder: Path) -> str:
        """Prepare the files for a task, while the program does not run; return the goal."""

    @abstractmethod
    def accepts(self, template: str, seed: int, folder: Path, answer: str) -> bool:
        """Judge the files at the end; ``answer`` is empty unless the agent gave one."""

    def path(self, template: str, seed: int) -> str:
        """Return the first page of a task."""
        return "/"

    @property
    def folder(self) -> Path:
        """The folder that holds the state; it is made when it is asked for."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="pivot-site-"))
        return self._folder

    @property
    def pid(self) -> int | None:
        """Process id of the program, ``None`` if it does not run."""
        return None if self._process is None else self._process.pid

    def begin(self, template: str, seed: int) -> Start:
        """Start the program on the files of a task's beginning."""
        folder = self._begin_files()
        self._goal = self.task(template, seed, folder)
        self._task = (template, seed)
        self._run()
        return self._start()

    def grade(self, page: PageState, answer: str | None) -> Verdict:
        """Judge the files once the agent has ended the episode."""
        self._check()
        if answer is None:
            return Verdict()
        return Verdict(float(self.accepts(*self._task, self.folder, answer)), True)

    def grade_unfinished(self, page: PageState) -> Verdict:
        """Judge the files as they stand."""
        return self.grade(page, "")

    def save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        """Return all files that are state."""
        self._check()
        files = self._files()
        state = {"files": {path: sha256(content) for path, content in files.items()}}
        return {**state, "goal": self._goal}, {sha256(each): each for each in files.values()}

    def load(
        self, template: str, seed: int, state: Mapping[str, Any], blobs: Mapping[str, bytes]
    ) -> Start:
        """Put files back and start the program on them; it goes on if they are there already."""
        wanted = {path: blobs[digest] for path, digest in state["files"].items()}
        for path in wanted:
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise SnapshotError(f"the snapshot's file {path!r:.80} leaves the folder")
        is_running = self._process is not None and self._process.poll() is None
        if not is_running or self._task != (template, seed) or self._files() != wanted:
            self._begin_files()
            self._put(wanted)
            self._run()
        self._task, self._goal = (template, seed), state["goal"]
        return self._start()

    def digest(self) -> str:
        """Return a digest of all files that are state."""
        self._check()
        files = self._files()
        return sha256(repr([(path, sha256(files[path])) for path in sorted(files)]).encode())

    def close(self) -> None:
        """End the program and remove its files."""
        self._stop()
        if self._forwarder is not None:
            self._forwarder.close()
            self._forwarder = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _start(self) -> Start:
        assert self._forwarder is not None
        url = f"http://{self.host}{self.path(*self._task)}"
        return Start(url=url, goal=self._goal, server=self._forwarder.address)

    def _begin_files(self) -> Path:
        """Stop the program and return the folder with the program's first files."""
        self._stop()
        folder = self.folder
        if self._created is None:
            self.create(folder)
            self._created = self._files()
        else:
            self._put(self._created)
        return folder

    def _files(self) -> dict[str, bytes]:
        folder = self.folder
        found = {}
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not any(fnmatch.fnmatch(name, each) for each in self.not_state):
                found[name] = path.read_bytes()
        return found

    def _put(self, files: Mapping[str, bytes]) -> None:
        folder = self.folder
        present = self._files()
        for name in present.keys() - files.keys():
            (folder / name).unlink()
        for name, content in files.items():
            if present.get(name) != content:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)

    def _run(self) -> None:
        if self._forwarder is None:
            self._forwarder = Forwarder(self.host)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        try:
            self._process = subprocess.Popen(
                list(self.command(self.folder, port)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "NO_PROXY": "*"},
            )
        except OSError as error:
            raise InfraError(f"{type(self).__name__} cannot be started: {error}") from error
        self._await(port)
        self._forwarder.lead_to(port)

    def _await(self, port: int) -> None:
        deadline = time.monotonic() + self.start_timeout_s
        while time.monotonic() < deadline:
            self._check()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(_POLL_S)
        self._stop()
        raise InfraError(f"{type(self).__name__} does not listen after {self.start_timeout_s:g} s")

    def _check(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._stop()
            raise InfraError(f"the server of {type(self).__name__} has died")

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
