"""Server, the loop in which the agent answers its host's requests, one at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn

from .bounds import BoundsError, Entry
from .box import Box
from .files import Files
from .frames import MAX_BLOB_BYTES, Channel
from .guard import Guard
from .holders import Held
from .processes import Processes
from .removal import remove
from .runner import Runner, RunnerError
from .shell import Shell, ShellError
from .tree import Tree
from .watch import Watch

Answer = tuple[dict[str, Any], Sequence[bytes]]


class Server:
    """Serves one host: shell, workspace and test runs of one box."""

    def __init__(
        self, box: Box, channel: Channel, programs: Mapping[str, bytes], guard: Guard
    ) -> None:
        """Prepare.

        Args:
            box: What this box is like.
            channel: Leads to the host.
            programs: The files of the warm interpreter, by name.
            guard: What is taken from everything that runs in the box.
        """
        self._box = box
        self._channel = channel
        self._processes = Processes(box, channel.fileno(), guard)
        self._shell = Shell(box, self._processes)
        self._runner = Runner(box, self._processes, programs)
        self._files = Files(box.workspace, box.command_ids)
        self._device = os.stat(box.workspace).st_dev
        self._tree = Tree(
            box.workspace,
            box.command_ids,
            self._held_files,
            min(box.memory_limit_bytes, MAX_BLOB_BYTES),
            # Elsewhere an open file may be on its way through a socket that cannot be seen.
            Watch() if box.level == "namespaces" else None,
        )
        folders = [box.scratch, "/dev/shm"] if box.level == "namespaces" else [box.scratch]
        self._scratch_modes = {folder: stat.S_IMODE(os.stat(folder).st_mode) for folder in folders}
        self._host_blobs: set[str] = set()
        self._operations: Mapping[str, Callable[[dict[str, Any], list[bytes]], Answer]] = {
            "run": self._run,
            "read": self._read,
            "write": self._write,
            "save": self._save,
            "load": self._load,
            "tests": self._tests,
        }

    def serve(self) -> NoReturn:
        """Start the shell, say so, and answer until the host goes away; then end the box."""
        self._shell.start()
        self._channel.send({"ready": True, "level": self._box.level})
        self._runner.start()
        self._shell.prepare()
        while True:
            try:
                header, blobs = self._channel.receive()
            except EOFError:
                self._processes.end_box()
            self._channel.send(*self._answer(header, blobs))
            # What the next requests need is made now, while the host thinks.
            with contextlib.suppress(ShellError):
                self._shell.state()
            self._shell.prepare()

    def _answer(self, header: dict[str, Any], blobs: list[bytes]) -> Answer:
        try:
            return self._operations[header["op"]](header, blobs)
        except ValueError as error:
            return {"error": str(error), "kind": "value"}, ()
        except BoundsError as error:
            return {"error": str(error), "kind": "unsavable"}, ()
        except (OSError, ShellError, RunnerError, RecursionError, MemoryError) as error:
            return {"error": f"{type(error).__name__}: {error}", "kind": "failure"}, ()

    def _run(self, header: dict[str, Any], _: list[bytes]) -> Answer:
        request = self._warm_request(header["warm"]) if header["warm"] else None
        if request is None:
            code, output = self._shell.run(header["command"], header["timeout_s"])
        else:
            try:
                code, output = self._runner.run(request, header["timeout_s"])
            except RunnerError:
                code, output = self._shell.run(header["command"], header["timeout_s"])
            else:
                self._shell.note_exit_status(130 if code is None else code)
        text = self._box.shown(output.text())
        return {"exit_code": code, "omitted_bytes": output.omitted_bytes}, (text,)

    def _warm_request(self, words: Sequence[str]) -> dict[str, Any] | None:
        """Return the request for a warm run, or None where bash would do something else."""
        name = words[0]
        dump = self._shell.dump()
        if not dump.is_plain() or dump.redefines(name):
            return None
        environment, directory = self._shell.surroundings(5.0)
        folder = os.path.dirname(self._box.python)
        found = shutil.which(name, path=environment.get("PATH", ""))
        if found is None or os.path.dirname(found) != folder:
            return None
        if not _same_interpreter_settings(environment, self._box.environment):
            return None
        if not os.path.isdir(directory):
            return None
        is_module = name != "pytest"
        environment["_"] = found
        return {
            "arguments": list(words[3:] if is_module else words[1:]),
            "script": "" if is_module else found,
            "path": directory if is_module else folder,
            "directory": directory,
            "environment": environment,
            "umask": dump.mask(),
        }

    def _read(self, header: dict[str, Any], _: list[bytes]) -> Answer:
        try:
            return {}, (self._files.read(self._box.to_real(header["path"])),)
        except OSError as error:
            return {"error": str(error), "kind": "value"}, ()

    def _write(self, header: dict[str, Any], blobs: list[bytes]) -> Answer:
        try:
            self._files.write(self._box.to_real(header["path"]), blobs[0])
        except OSError as error:
            # A full box or a file among the folders of the path: the commands' doing.
            return {"error": str(error), "kind": "value"}, ()
        return {}, ()

    def _held_files(self, with_opened: bool) -> Held | None:
        spare, warm = self._shell.spare_keys(), self._runner.pid()
        idle = {warm, *(pid for pid, _ in spare)}
        shell = self._shell.pids() - idle
        return self._processes.held_files(shell, idle, self._device if with_opened else None)

    def _save(self, header: dict[str, Any], _: list[bytes]) -> Answer:
        self._forget_if(header["forget"])
        # What is told of the files is taken as known from then on, so nothing may fail after it.
        shell = self._shell.state()
        fresh: dict[str, bytes] = {}
        changed, removed = self._tree.news(fresh)
        new = self._new_blobs(changed, fresh)
        if new is None:
            self._tree.forget()
            changed, removed = self._tree.news(fresh)
            new = self._new_blobs(changed, fresh) or {}
        self._tree.tell(changed, removed)
        self._host_blobs.update(new)
        entries = [(path, *entry) for path, entry in changed.items()]
        return {"changed": entries, "removed": removed, "shell": shell}, tuple(new.values())

    def _forget_if(self, told: bool) -> None:
        """Take the host for one that knows nothing, if that is what it says."""
        if told:
            self._host_blobs.clear()
            self._tree.told_nothing()

    def _new_blobs(
        self, changed: Mapping[str, Entry], fresh: Mapping[str, bytes]
    ) -> dict[str, bytes] | None:
        """Return the blobs that the host lacks, or None if one was dropped from memory."""
        new: dict[str, bytes] = {}
        for entry in changed.values():
            name = entry.content
            if entry.kind == "file" and name not in self._host_blobs and name not in new:
                blob = fresh.get(name)
                blob = self._tree.store.get(name) if blob is None else blob
                if blob is None:
                    return None
                new[name] = blob
        return new

    def _load(self, header: dict[str, Any], _: list[bytes]) -> Answer:
        self._forget_if(header["forget"])
        wanted = dict(self._tree.told)
        for path in header["removed"]:
            wanted.pop(path, None)
        fresh = {path: Entry(kind, mode, text) for path, kind, mode, text in header["changed"]}
        wanted.update(fresh)
        if len(wanted) != header["count"]:
            raise OSError("host and box do not agree on what the box holds")
        changed = {*fresh, *header["removed"]}
        warm = self._runner.key()
        kept = self._shell.spare_keys() | (set() if warm is None else {warm})
        self._processes.end_all_but(kept)
        if self._processes.alive() - kept:
            # Loading goes by path; nothing may move folders meanwhile.
            raise OSError("processes of the box cannot be ended")
        try:
            self._empty_scratch()
            self._load_tree(wanted, changed)
        except BaseException:
            self._shell.start()
            raise
        try:
            self._shell.start(header["shell"])
        except ShellError as error:
            raise ValueError(f"the saved shell does not come back: {error}") from error
        return {}, ()

    def _load_tree(self, wanted: Mapping[str, Entry], changed: Collection[str]) -> None:
        self._tree.scan_or_clear()
        needed = self._tree.missing(wanted, changed)
        self._channel.send({"needed": needed})
        blobs = self._channel.receive()[1]
        received = {name: blobs[index] for index, name in enumerate(needed)}
        names = {wanted[path].content for path in changed if path in wanted}
        self._host_blobs.update(names)
        try:
            self._tree.load(wanted, changed, received)
        except BoundsError as error:
            raise ValueError(str(error)) from error
        except OSError as error:
            if error.errno in _STATES_FAULT:
                raise ValueError(f"the box cannot hold it: {error}") from error
            raise

    def _empty_scratch(self) -> None:
        for folder, mode in self._scratch_modes.items():
            # Commands own it and may have closed it, even to an agent of the same user.
            os.chmod(folder, mode)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                for name in os.listdir(descriptor):
                    if not self._box.is_kept(os.path.join(folder, name)):
                        remove(name, descriptor)
            finally:
                os.close(descriptor)

    def _tests(self, header: dict[str, Any], _: list[bytes]) -> Answer:
        outcomes, timed_out, output = self._runner.run_tests(
            header["test_ids"], header["options"], header["timeout_s"]
        )
        text = self._box.shown(output.text())
        return {"outcomes": outcomes, "timed_out": timed_out}, (text,)


_STATES_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG, errno.EINVAL)
"""What loading says of a state that is too much for this box."""


def _same_interpreter_settings(environment: Mapping[str, str], start: Mapping[str, str]) -> bool:
    """Tell whether ``environment`` sets an interpreter up as ``start`` does."""

    def settings(variables: Mapping[str, str]) -> dict[str, str]:
        return {
            name: value
            for name, value in variables.items()
            if name.startswith(("PYTHON", "LC_", "LANG")) and name != "PYTHONPATH"
        }

    return settings(environment) == settings(start)
