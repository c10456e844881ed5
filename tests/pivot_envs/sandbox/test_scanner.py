"""A watched tree against one of which every file is read: nothing that happens is missed."""

import ctypes
import mmap
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from pivot_envs.sandbox.agent.holders import Held, held_inodes
from pivot_envs.sandbox.agent.scanner import Scanner
from pivot_envs.sandbox.agent.watch import Watch

MANY_BYTES = 1 << 30
NAMES = st.sampled_from("abc")
FOLDERS = st.sampled_from(("", "d", "e", "d/f"))
RENAME_EXCHANGE = 2


def of_this_process(folder: str) -> Callable[[bool], Held | None]:
    device = Path(folder).stat().st_dev
    return lambda _: held_inodes(lambda: {os.getpid()}, set(), device)


class WatchedTree(RuleBasedStateMachine):
    """Changes a folder in every way that one process can, and keeps files open and mapped."""

    scans = 0

    def __init__(self) -> None:
        super().__init__()
        self.root = tempfile.mkdtemp(dir="/dev/shm")
        Path(self.root, "d/f").mkdir(parents=True)
        Path(self.root, "e").mkdir()
        for place in ("a", "d/a", "d/b", "e/a", "d/f/a"):
            Path(self.root, place).write_bytes(b"start")
        self.open: list[int] = []
        self.maps: list[mmap.mmap] = []
        self.number = 0
        self.scanner = Scanner(self.root, of_this_process(self.root), MANY_BYTES, Watch(), 0)
        self.scan()

    def teardown(self) -> None:
        for descriptor in self.open:
            os.close(descriptor)
        for one in self.maps:
            one.close()
        os.close(self.scanner._watch._descriptor)
        shutil.rmtree(self.root)

    def content(self) -> bytes:
        self.number += 1
        return b"%05d" % self.number

    def attempt(self, call: Callable[..., object], *arguments: object, **options: object) -> None:
        try:
            call(*arguments, **options)
        except OSError:
            return

    def path(self, folder: str, name: str) -> str:
        return str(Path(self.root, folder, name))

    @rule(folder=FOLDERS, name=NAMES)
    def write(self, folder: str, name: str) -> None:
        self.write_and_keep_open(folder, name)
        if self.open:
            os.close(self.open.pop())

    @rule(folder=FOLDERS, name=NAMES)
    def write_and_keep_open(self, folder: str, name: str) -> None:
        try:
            descriptor = os.open(self.path(folder, name), os.O_RDWR | os.O_CREAT | os.O_NONBLOCK)
        except OSError:
            return
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return
        self.open.append(descriptor)
        os.write(descriptor, self.content())

    @rule(index=st.integers(0, 9))
    def write_what_is_open(self, index: int) -> None:
        if self.open:
            os.pwrite(self.open[index % len(self.open)], self.content(), 0)

    @rule(index=st.integers(0, 9))
    def map_what_is_open(self, index: int) -> None:
        if self.open and os.fstat(descriptor := self.open[index % len(self.open)]).st_size >= 5:
            self.maps.append(mmap.mmap(descriptor, 5))

    @rule(index=st.integers(0, 9))
    def write_what_is_mapped(self, index: int) -> None:
        if self.maps:
            self.maps[index % len(self.maps)][:] = self.content()

    @rule(index=st.integers(0, 9))
    def close(self, index: int) -> None:
        if self.open:
            os.close(self.open.pop(index % len(self.open)))

    @rule(index=st.integers(0, 9))
    def unmap(self, index: int) -> None:
        if self.maps:
            self.maps.pop(index % len(self.maps)).close()

    @rule(folder=FOLDERS, name=NAMES, to=FOLDERS, new=NAMES)
    def link(self, folder: str, name: str, to: str, new: str) -> None:
        self.attempt(os.link, self.path(folder, name), self.path(to, new))

    @rule(folder=FOLDERS, name=NAMES)
    def unlink(self, folder: str, name: str) -> None:
        self.attempt(os.unlink, self.path(folder, name))

    @rule(folder=FOLDERS, name=NAMES, to=FOLDERS, new=NAMES, flags=st.sampled_from((0, 0, 2)))
    def rename(self, folder: str, name: str, to: str, new: str, flags: int) -> None:
        old, path = (os.fsencode(self.path(*place)) for place in ((folder, name), (to, new)))
        ctypes.CDLL(None).renameat2(-100, old, -100, path, flags)

    @rule(folder=FOLDERS, name=NAMES, to=FOLDERS, new=NAMES, keep=st.booleans())
    def write_through_a_name_that_goes_again(
        self, folder: str, name: str, to: str, new: str, keep: bool
    ) -> None:
        self.link(folder, name, to, new)
        self.write_and_keep_open(to, new)
        self.unlink(to, new)
        if self.open and not keep:
            os.close(self.open.pop())

    @rule(folder=st.sampled_from(("d", "e", "d/f")), to=st.sampled_from(("d", "e", "e/f", "g")))
    def move_a_folder(self, folder: str, to: str) -> None:
        self.attempt(os.rename, self.path(folder, ""), self.path(to, ""))

    @rule(folder=st.sampled_from(("d", "e", "d/f")))
    def remake_a_folder(self, folder: str) -> None:
        shutil.rmtree(self.path(folder, ""), ignore_errors=True)
        self.attempt(os.makedirs, self.path(folder, ""))

    @rule(folder=FOLDERS, name=NAMES, mode=st.sampled_from((0o600, 0o644)))
    def change_a_mode(self, folder: str, name: str, mode: int) -> None:
        self.attempt(os.chmod, self.path(folder, name), mode)

    @rule(folder=FOLDERS, name=NAMES)
    def set_the_time_back(self, folder: str, name: str) -> None:
        self.attempt(os.utime, self.path(folder, name), (1, 1))

    @rule(folder=FOLDERS, name=NAMES)
    def replace_by_a_link_or_pipe(self, folder: str, name: str) -> None:
        self.unlink(folder, name)
        path = Path(self.path(folder, name))
        if self.number % 2:
            self.attempt(os.mkfifo, path)
        else:
            self.attempt(path.symlink_to, "a")

    @rule(times=st.integers(1, 2))
    def scan_often(self, times: int) -> None:
        for _ in range(times):
            self.scan()

    @rule()
    def scan_between(self) -> None:
        self.scan()

    @rule(folder=FOLDERS, name=NAMES, to=FOLDERS, new=NAMES, keep=st.booleans())
    def write_through_another_name_between_scans(
        self, folder: str, name: str, to: str, new: str, keep: bool
    ) -> None:
        self.scan()
        self.write_through_a_name_that_goes_again(folder, name, to, new, keep)
        self.scan()
        if self.open:
            os.pwrite(self.open[-1], self.content(), 0)
            os.close(self.open.pop())
            self.scan()

    @rule()
    def scan(self) -> None:
        type(self).scans += 1
        told = dict(self.scanner.listing.entries)
        self.scanner.touched = set()
        found = self.scanner.scan()
        whole = Scanner(self.root, of_this_process(self.root), MANY_BYTES).scan()
        assert found.entries == whole.entries
        assert (found.linked, found.strange) == (whole.linked, whole.strange)
        paths = told.keys() | found.entries.keys()
        changed = {path for path in paths if told.get(path) != found.entries.get(path)}
        assert self.scanner.touched is None or changed <= self.scanner.touched


@pytest.fixture
def tree() -> Iterator[WatchedTree]:
    machine = WatchedTree()
    yield machine
    machine.teardown()


@pytest.mark.parametrize("is_open_at_a_scan", [False, True])
def test_a_write_through_a_name_that_is_gone_is_seen(
    tree: WatchedTree, is_open_at_a_scan: bool
) -> None:
    tree.link("", "a", "d", "c")
    tree.write_and_keep_open("d", "c")
    tree.unlink("d", "c")
    if is_open_at_a_scan:
        tree.scan()
        tree.write_what_is_open(0)
    tree.close(0)
    tree.scan()


def test_a_write_through_a_mapping_is_seen(tree: WatchedTree) -> None:
    tree.write_and_keep_open("d", "a")
    tree.map_what_is_open(0)
    tree.close(0)
    for _ in range(3):
        tree.scan()
        tree.write_what_is_mapped(0)
    tree.unmap(0)
    tree.scan()


def run(examples: int, steps: int) -> None:
    plan = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(WatchedTree, settings=plan)


# Every scan reads the mappings of every thread of this process, of which other tests leave many.
@pytest.mark.timeout(600)
def test_a_watched_tree_is_seen_as_it_is() -> None:
    run(10, 40)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_watched_tree_is_seen_as_it_is_whatever_happens() -> None:
    run(2_000, 60)
