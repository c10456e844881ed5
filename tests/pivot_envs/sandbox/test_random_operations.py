"""Random operations in a box, with saves and loads between them, against a model of the tree.

The model is compared with what a save returns, and with what a program inside the box sees.
"""

import hashlib
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from pivot_envs.sandbox.base import Sandbox, SandboxState

PROGRAMS = Path(__file__).parent / "programs"
LOOK, BUSY = ((PROGRAMS / name).read_text() for name in ("look.py", "busy.py"))
EMPTY = SandboxState((), "", {})
NAMES = (b"a", b"b c", b"new\nline", b"\377\376", b"-e", b".f", "ä☃".encode(), b"'\"$x`\\")
TARGETS = (b"a", b"missing", b".", b"..", b"/workspace/b c", b"/nowhere", b"\377", b"-e/../a", b"l")
MODES = {
    "file": (0o644, 0o755, 0o600, 0o444, 0o000, 0o664),
    "directory": (0o755, 0o700, 0o2775, 0o1777, 0o500, 0o000),
}
INDEX = st.integers(0, 9999)
CONTENT = st.binary(max_size=12)
ANY = ("file", "symlink", "directory")


@dataclass
class Node:
    """A file, symlink or directory; hard links are one node under two paths."""

    kind: str
    mode: int
    content: bytes = b""


def quoted(raw: bytes, start: str = "./") -> str:
    """Return bytes as one word of bash; by default as the path of an entry."""
    return f"{start}$'" + "".join(f"\\{byte:03o}" for byte in raw) + "'"


def printed(content: bytes) -> str:
    return "printf '" + "".join(f"\\{byte:03o}" for byte in content) + "'"


def parent_of(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def is_busy(path: bytes) -> bool:
    return path == b"busy" or path.startswith(b"busy/")


def nodes_of(state: SandboxState) -> dict[bytes, Node]:
    found = {}
    for entry in state.files:
        content = os.fsencode(entry.content)
        if entry.kind == "file":
            content = state.blobs[entry.content]
            assert hashlib.sha256(content).hexdigest() == entry.content
        found[os.fsencode(entry.path)] = Node(entry.kind, entry.mode, content)
    return found


class RandomOperations(RuleBasedStateMachine):
    """Does the same in the box and in the model."""

    box: Sandbox
    operations = saves = loads = 0
    mismatches: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        self.tree: dict[bytes, Node] = {}
        self.states: list[tuple[SandboxState, dict[bytes, Node]]] = []
        self.is_changing = False
        self.box.load(EMPTY)

    def run(self, command: str, works: bool = True, counts: bool = True) -> str:
        if counts:
            self.count("operations")
        result = self.box.run(command, timeout_s=30.0)
        assert (result.exit_code == 0) == works, (command, result)
        return result.output

    @classmethod
    def count(cls, what: str) -> None:
        setattr(RandomOperations, what, getattr(RandomOperations, what) + 1)

    def compare(self, what: str, found: object, expected: object) -> None:
        if found != expected:
            # What a busy process does differs from run to run: hypothesis may not see it again.
            self.mismatches.append(f"{what}: {found!r}, expected {expected!r}")
        assert found == expected, what

    def may(self, path: bytes, bits: int) -> bool:
        """Tell whether the user may pass the folders above, and has these bits in the last."""
        folders = [path[:end] for end, byte in enumerate(path) if byte == ord("/")]
        return all(self.tree[folder].mode & 0o100 for folder in folders) and (
            not folders or self.tree[folders[-1]].mode & bits == bits
        )

    def pick(self, index: int, kinds: tuple[str, ...], bits: int = 0, own: int = 0) -> bytes | None:
        """Choose an entry of one of the kinds; ``bits`` of its folder and ``own`` are set."""
        found = [
            path
            for path, node in sorted(self.tree.items(), key=lambda item: item[0])
            if node.kind in kinds and node.mode & own == own and self.may(path, bits)
            if not is_busy(path)
        ]
        return found[index % len(found)] if found else None

    def place(self, index: int) -> bytes:
        """Choose a path, taken or free, in a folder in which the user may create."""
        folders = [path for path in sorted(self.tree) if self.tree[path].kind == "directory"]
        name, index = NAMES[index % len(NAMES)], index // len(NAMES)
        paths = [name, *(path + b"/" + name for path in folders if not is_busy(path))]
        paths = [path for path in paths if path.count(b"/") < 4 and self.may(path, 0o300)]
        return paths[index % len(paths)]

    def folder(self, path: bytes) -> Node:
        """Return a new folder's node, which inherits the set-group-id bit."""
        parent = self.tree.get(parent_of(path))
        return Node("directory", 0o755 | (parent.mode & 0o2000 if parent else 0))

    @rule(place=INDEX, content=CONTENT, operator=st.sampled_from((">", ">>")))
    def write(self, place: int, content: bytes, operator: str) -> None:
        path = self.place(place)
        node = self.tree.get(path, Node("file", 0o644))
        if node.kind != "symlink":
            works = node.kind == "file" and bool(node.mode & 0o200)
            self.run(f"{printed(content)} {operator}{quoted(path)}", works)
            if works:
                node.content = content if operator == ">" else node.content + content
                self.tree[path] = node

    @rule(place=INDEX, content=CONTENT)
    def write_and_read_from_outside(self, place: int, content: bytes) -> None:
        path = self.place(place)
        node = self.tree.get(path, Node("file", 0o644))
        if node.kind == "file" and node.mode & 0o600 == 0o600:
            self.count("operations")
            node.content, self.tree[path] = content, node
            self.box.write_file(os.fsdecode(path), content)
            assert self.box.read_file(os.fsdecode(path)) == content

    @rule(index=INDEX, fill=st.sampled_from((b"x", b"\0", b"\377")))
    def edit_and_set_the_time_back(self, index: int, fill: bytes) -> None:
        path = self.pick(index, ("file",), own=0o200)
        if path is not None and len(self.tree[path].content) < 5000:
            node, file = self.tree[path], quoted(path)
            node.content = fill * len(node.content)
            self.run(
                f"touch -r {file} /tmp/stamp; {printed(node.content)} >{file}; "
                f"touch -d '2001-01-01' {file}; touch -r /tmp/stamp {file}"
            )

    @rule(index=INDEX, size=st.sampled_from((0, 1, 4096, 5000, 200_000)), is_cut=st.booleans())
    def make_sparse(self, index: int, size: int, is_cut: bool) -> None:
        path = self.pick(index, ("file",), own=0o200)
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

    @rule(place=INDEX)
    def make_a_folder(self, place: int) -> None:
        path = self.place(place)
        self.run(f"mkdir {quoted(path)}", works=path not in self.tree)
        self.tree.setdefault(path, self.folder(path))

    @rule(index=INDEX, kind=st.sampled_from(("", "same", *ANY)))
    def delete_and_recreate(self, index: int, kind: str) -> None:
        path = self.pick(index, ANY, bits=0o300)
        if path is None:
            return
        self.run(f"find {quoted(path)} -type d -exec chmod u+rwx {{}} \\; ; rm -rf {quoted(path)}")
        old = self.tree[path]
        self.tree = {
            each: node
            for each, node in self.tree.items()
            if not (each + b"/").startswith(path + b"/")
        }
        kind = old.kind if kind == "same" else kind
        if kind == "directory":
            self.run(f"mkdir {quoted(path)}; echo new >{quoted(path)}/inside")
            self.tree[path] = self.folder(path)
            self.tree[path + b"/inside"] = Node("file", 0o644, b"new\n")
        elif kind == "symlink":
            self.run(f"ln -sT missing {quoted(path)}")
            self.tree[path] = Node("symlink", 0, b"missing")
        elif kind == "file":
            content = old.content[:100] or b"file"
            self.run(f"{printed(content)} >{quoted(path)}")
            self.tree[path] = Node("file", 0o644, content)

    @rule(index=INDEX, mode=INDEX)
    def change_the_mode(self, index: int, mode: int) -> None:
        path = self.pick(index, ("file", "directory"))
        if path is not None:
            modes = MODES[self.tree[path].kind]
            self.tree[path].mode = modes[mode % len(modes)]
            self.run(f"chmod {self.tree[path].mode:05o} {quoted(path)}")

    @rule(place=INDEX, text=st.sampled_from(TARGETS))
    def link(self, place: int, text: bytes) -> None:
        path = self.place(place)
        if path not in self.tree or self.tree[path].kind != "directory":
            self.run(f"ln -sfT -- {quoted(text, '')} {quoted(path)}")
            self.tree[path] = Node("symlink", 0, text)

    @rule(index=INDEX, place=INDEX)
    def link_hard(self, index: int, place: int) -> None:
        path, new = self.pick(index, ("file",)), self.place(place)
        if path is not None and new not in self.tree:
            self.run(f"ln -T {quoted(path)} {quoted(new)}")
            self.tree[new] = self.tree[path]

    @rule(index=INDEX, place=INDEX)
    def rename(self, index: int, place: int) -> None:
        path, new = self.pick(index, ANY, bits=0o300), self.place(place)
        if path is None or (new + b"/").startswith(path + b"/"):
            return
        node, other = self.tree[path], self.tree.get(new)
        if node is other:
            return
        works = other is None or (node.kind == "directory") == (other.kind == "directory")
        if node.kind == "directory":
            works = works and not any(each.startswith(new + b"/") for each in self.tree)
            works = works and (bool(node.mode & 0o200) or parent_of(path) == parent_of(new))
        self.run(f"mv -fT {quoted(path)} {quoted(new)}", works)
        if works:
            for each in [each for each in self.tree if (each + b"/").startswith(path + b"/")]:
                self.tree[new + each[len(path) :]] = self.tree.pop(each)

    @rule()
    def start_a_busy_process(self) -> None:
        if not self.is_changing:
            self.run(
                f"rm -rf busy; python3 -I -S -c {quoted(BUSY.encode(), '')} >/dev/null & BUSY=$!; "
                "until [ -s busy/log ]; do sleep 0.01; done"
            )
            self.is_changing = True

    @rule()
    def end_the_busy_process(self) -> None:
        if self.is_changing:
            self.run("kill -9 $BUSY; wait $BUSY; true")
            self.is_changing = False
            self.save()

    @rule()
    def save(self) -> None:
        written = (
            self.run("tail -n 2 busy/log | head -n 1", counts=False) if self.is_changing else ""
        )
        self.count("saves")
        state = self.box.save()
        found = nodes_of(state)
        self.tree = {path: node for path, node in self.tree.items() if not is_busy(path)}
        self.tree |= {path: node for path, node in found.items() if is_busy(path)}
        self.compare("saved", found, self.tree)
        if written:
            mapped = int(found[b"busy/map"].content)
            self.compare("mapped", mapped, max(mapped, int(written)))
        if b"busy/log" in found:
            lines = [int(line) for line in found[b"busy/log"].content.splitlines()]
            self.compare("log", lines, list(range(len(lines))))
        self.look()
        self.states.append((state, {path: replace(node) for path, node in self.tree.items()}))

    @rule(index=INDEX, is_new_box=st.integers(0, 19))
    def load(self, index: int, is_new_box: int) -> None:
        if not self.states:
            return
        self.count("loads")
        state, tree = self.states[index % len(self.states)]
        if is_new_box == 0:
            self.box.close()
            self.box.start()
        self.box.load(state)
        self.tree = {path: replace(node) for path, node in tree.items()}
        self.is_changing = False
        self.look()
        self.compare("loaded", nodes_of(self.box.save()), self.tree)

    def look(self) -> None:
        """Compare the model with what a user in the box sees, as far as that does not change."""
        lines = []
        for path, node in self.tree.items():
            if not self.may(path, 0o500) or (self.is_changing and is_busy(path)):
                continue
            content = node.content
            if node.kind == "file":
                digest = hashlib.sha256(content).hexdigest().encode()
                content = digest if node.mode & 0o400 else b"unreadable"
            lines.append(repr((path, node.kind, node.mode, content)))
        expected = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
        program = f"python3 -I -S -c {quoted(LOOK.encode(), '')}"
        hidden = "busy" if self.is_changing else ""
        if self.run(f"{program} hash {hidden}", counts=False) != expected:
            seen = self.run(f"{program} list {hidden}", counts=False).splitlines()
            self.compare("seen", seen, sorted(lines))


def run_machine(box: Sandbox, operations: int) -> None:
    """Run until so many operations are done; show the counts, and what was unexpected."""
    machine = RandomOperations
    machine.box, machine.operations, machine.saves, machine.loads = box, 0, 0, 0
    machine.mismatches.clear()
    health = list(HealthCheck)
    plan = settings(
        max_examples=10, stateful_step_count=50, deadline=None, suppress_health_check=health
    )
    try:
        while machine.operations < operations:
            run_state_machine_as_test(machine, settings=plan)
    finally:
        counts = f"{machine.operations} operations, {machine.saves} saves, {machine.loads} loads"
        lines = [f"{counts}, {len(machine.mismatches)} mismatches", *machine.mismatches[:3]]
        sys.stdout.write("\n".join(lines) + "\n")


def test_what_random_operations_leave_comes_back_exactly(box: Sandbox) -> None:
    run_machine(box, 200)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_ten_thousand_random_operations_leave_comes_back_exactly(box: Sandbox) -> None:
    run_machine(box, 10_000)
