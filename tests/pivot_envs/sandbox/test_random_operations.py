"""Random operations in a box against a model of its tree, a save's view and a user's view."""

import hashlib
import os
import sys
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from hypothesis.stateful import run_state_machine_as_test as run_as_test

from pivot_envs.sandbox.base import Sandbox, SandboxState

from .model_tree import ModelTree, Node, is_within

LOOK, BUSY = (Path(__file__).with_name("programs") / name for name in ("look.py", "busy.py"))
EMPTY = SandboxState((), "", {})
TARGETS = (b"a", b"missing", b".", b"..", b"/workspace/b c", b"/nowhere", b"\377", b"-e/../a", b"l")
MODES = {
    "file": (0o644, 0o755, 0o600, 0o444, 0o000, 0o664),
    "directory": (0o755, 0o700, 0o2775, 0o1777, 0o500, 0o000),
}
INDEX = st.integers(0, 9999)
CONTENT = st.binary(max_size=12)
ANY = ("file", "symlink", "directory")


def quoted(raw: bytes, start: str = "./") -> str:
    """Return bytes as one word of bash; by default as the path of an entry."""
    return f"{start}$'" + "".join(f"\\{byte:03o}" for byte in raw) + "'"


def printed(content: bytes) -> str:
    return "printf '" + "".join(f"\\{byte:03o}" for byte in content) + "'"


class RandomOperations(RuleBasedStateMachine):
    """Does the same in the box and in the model."""

    box: Sandbox
    counts: ClassVar[Counter[str]] = Counter()
    mismatches: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        self.tree = ModelTree()
        self.states: list[tuple[SandboxState, ModelTree]] = []
        self.is_changing = False
        self.box.load(EMPTY)

    @initialize(files=st.sampled_from((0, 250)))  # so many that a save does not look at all
    def fill(self, files: int) -> None:
        self.run(f"mkdir many; seq -f many/%g {files} | xargs -r touch", kind="looks")
        self.tree |= {b"many/%d" % number: Node("file", 0o644) for number in range(1, files + 1)}
        self.tree[b"many"] = Node("directory", 0o755)

    def run(self, command: str, works: bool = True, kind: str = "operations") -> str:
        self.counts[kind] += 1
        result = self.box.run(command, timeout_s=30.0)
        assert (result.exit_code == 0) == works, (command, result)
        return result.output

    def compare(self, what: str, found: object, expected: object) -> None:
        if found != expected:
            # What a busy process does differs from run to run: hypothesis may not see it again.
            self.mismatches.append(f"{what}: {found!r}, expected {expected!r}")
        assert found == expected, what

    @rule(place=INDEX, content=CONTENT, operator=st.sampled_from((">", ">>")))
    def write(self, place: int, content: bytes, operator: str) -> None:
        path = self.tree.place(place)
        node = self.tree.get(path, Node("file", 0o644))
        if node.kind != "symlink":
            works = node.kind == "file" and bool(node.mode & 0o200)
            self.run(f"{printed(content)} {operator}{quoted(path)}", works)
            if works:
                node.content = content if operator == ">" else node.content + content
                self.tree[path] = node

    @rule(place=INDEX, content=CONTENT)
    def write_and_read_from_outside(self, place: int, content: bytes) -> None:
        path = self.tree.place(place)
        node = self.tree.get(path, Node("file", 0o644))
        if node.kind == "file" and node.mode & 0o600 == 0o600:
            self.counts["operations"] += 1
            node.content, self.tree[path] = content, node
            self.box.write_file(os.fsdecode(path), content)
            assert self.box.read_file(os.fsdecode(path)) == content

    @rule(index=INDEX, fill=st.sampled_from((b"x", b"\0", b"\377")))
    def edit_and_set_the_time_back(self, index: int, fill: bytes) -> None:
        path = self.tree.pick(index, ("file",), own=0o200)
        if path is not None and len(self.tree[path].content) < 5000:
            node, file = self.tree[path], quoted(path)
            node.content = fill * len(node.content)
            self.run(
                f"touch -r {file} $TMPDIR/stamp; {printed(node.content)} >{file}; "
                f"touch -d '2001-01-01' {file}; touch -r $TMPDIR/stamp {file}"
            )

    @rule(index=INDEX, size=st.sampled_from((0, 1, 4096, 5000, 200_000)), is_cut=st.booleans())
    def make_sparse(self, index: int, size: int, is_cut: bool) -> None:
        path = self.tree.pick(index, ("file",), own=0o200)
        if path is not None:
            node = self.tree[path]
            self.run(
                f"truncate -s {'' if is_cut else '%'}{size or 1} {quoted(path)}; "
                f"printf x | dd of={quoted(path)} bs=1 seek={size} conv=notrunc status=none"
            )
            block = size or 1
            end = block if is_cut else -(-len(node.content) // block) * block
            content = node.content[:end].ljust(max(end, size), b"\0")
            node.content = content[:size] + b"x" + content[size + 1 :]

    @rule(place=INDEX, kind=st.sampled_from((*ANY, "link", "")), index=INDEX, content=CONTENT)
    def replace(self, place: int, kind: str, index: int, content: bytes) -> None:
        """Delete what is at a path, if anything is, and make something of some kind there."""
        path, here = self.tree.place(place), quoted(self.tree.place(place))
        if path in self.tree:
            self.run(f"find {here} -type d -exec chmod u+rwx {{}} \\; ; rm -rf {here}")
            for each in self.tree.below(path):
                del self.tree[each]
        other = self.tree.pick(index, ("file",))
        if kind == "directory":
            parent = self.tree.get(path.rpartition(b"/")[0])
            inherited = parent.mode & 0o2000 if parent else 0
            self.run(f"mkdir {here}; echo new >{here}/inside")
            self.tree[path] = Node("directory", 0o755 | inherited)
            self.tree[path + b"/inside"] = Node("file", 0o644, b"new\n")
        elif kind == "symlink":
            self.tree[path] = Node("symlink", 0, TARGETS[index % len(TARGETS)])
            self.run(f"ln -sT -- {quoted(self.tree[path].content, '')} {here}")
        elif kind == "file":
            self.run(f"{printed(content)} >{here}")
            self.tree[path] = Node("file", 0o644, content)
        elif kind == "link" and other is not None:
            self.run(f"ln -T {quoted(other)} {here}")
            self.tree[path] = self.tree[other]

    @rule(index=INDEX, mode=INDEX)
    def change_the_mode(self, index: int, mode: int) -> None:
        path = self.tree.pick(index, ("file", "directory"))
        if path is not None:
            node, modes = self.tree[path], MODES[self.tree[path].kind]
            node.mode = modes[mode % len(modes)]
            self.run(f"chmod {node.mode:05o} {quoted(path)}")

    @rule(index=INDEX, place=INDEX)
    def rename(self, index: int, place: int) -> None:
        path, new = self.tree.pick(index, ANY, bits=0o300), self.tree.place(place)
        if path is None or is_within(new, path) or self.tree[path] is self.tree.get(new):
            return
        # mv refuses to replace a place by a link to it.
        if self.run(f"[[ {quoted(path)} -ef {quoted(new)} ]] && echo same || true", kind="looks"):
            return
        node, other = self.tree[path], self.tree.get(new)
        works = other is None or (node.kind == "directory") == (other.kind == "directory")
        if node.kind == "directory":
            is_move = path.rpartition(b"/")[0] != new.rpartition(b"/")[0]
            works = (
                works and len(self.tree.below(new)) < 2 and bool(node.mode & 0o200 or not is_move)
            )
        self.run(f"mv -fT {quoted(path)} {quoted(new)}", works)
        if works:
            for each in self.tree.below(path):
                self.tree[new + each[len(path) :]] = self.tree.pop(each)

    @rule()
    def start_or_end_a_busy_process(self) -> None:
        self.is_changing = not self.is_changing
        if self.is_changing:
            program = f"python3 -I -S -c {quoted(BUSY.read_bytes(), '')} >/dev/null"
            ready = "until [ -s busy/log ]; do sleep 0.01; done"
            self.run(f"rm -rf busy; {program} & BUSY=$!; {ready}")
        else:
            self.run("kill -9 $BUSY; wait $BUSY; true")
            self.save()

    @rule()
    def save(self) -> None:
        last = self.is_changing and self.run("tail -n 2 busy/log | head -n 1", kind="looks")
        self.counts["saves"] += 1
        state = self.box.save()
        found = ModelTree.of_state(state)
        for path in self.tree.below(b"busy"):
            del self.tree[path]
        self.tree |= {path: found[path] for path in found.below(b"busy")}
        self.compare("saved", found, self.tree)
        if last:
            mapped = int(found[b"busy/map"].content)
            self.compare("mapped", mapped, max(mapped, int(last)))
        lines = [int(line) for line in found.get(b"busy/log", Node("", 0)).content.splitlines()]
        self.compare("log", lines, list(range(len(lines))))
        self.look()
        self.states.append((state, self.tree.copied()))

    @rule(index=INDEX, is_new_box=st.integers(0, 19))
    def load(self, index: int, is_new_box: int) -> None:
        if not self.states:
            return
        self.counts["loads"] += 1
        state, tree = self.states[index % len(self.states)]
        if is_new_box == 0:
            self.box.restart()
        self.box.load(state)
        self.tree = tree.copied()
        self.is_changing = False
        self.look()
        self.compare("loaded", ModelTree.of_state(self.box.save()), self.tree)

    def look(self) -> None:
        """Compare the model with what a user in the box sees, as far as that does not change."""
        lines = self.tree.seen(b"busy" if self.is_changing else None)
        expected = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        program = f"python3 -I -S -c {quoted(LOOK.read_bytes(), '')}"
        hidden = "busy" if self.is_changing else ""
        if self.run(f"{program} hash {hidden}", kind="looks") != expected:
            self.compare("seen", self.run(f"{program} list {hidden}").splitlines(), lines)


def run_machine(box: Sandbox, operations: int) -> None:
    """Run until so many operations are done; show the counts, and what was unexpected."""
    counts, mismatches = RandomOperations.counts, RandomOperations.mismatches
    counts.clear()
    mismatches.clear()
    RandomOperations.box = box
    plan = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    try:
        while counts["operations"] < operations:
            run_as_test(RandomOperations, settings=plan)
    finally:
        sys.stdout.write(f"{dict(counts)}, {len(mismatches)} mismatches {mismatches[:3]}\n")


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("operations", [200, pytest.param(10_000, marks=pytest.mark.soak)])
def test_what_random_operations_leave_comes_back_exactly(
    box: Sandbox, level: str, operations: int
) -> None:
    run_machine(box, operations // (4 if level == "landlock" else 1))  # its disk takes much longer
