"""ModelTree, what a workspace has to hold and who may do what in it, by a file system's rules."""

import hashlib
import os
from copy import copy
from dataclasses import dataclass

from pivot_envs.sandbox.base import SandboxState

NAMES = (b"a", b"b c", b"new\nline", b"\377\376", b"-e", b".f", "ä☃".encode(), b"'\"$x`\\")
LEFT_ALONE = (b"busy", b"many")


@dataclass
class Node:
    """A file, symlink or directory; hard links are one node under two paths."""

    kind: str
    mode: int
    content: bytes = b""


def is_within(path: bytes, folder: bytes) -> bool:
    return (path + b"/").startswith(folder + b"/")


class ModelTree(dict[bytes, Node]):
    """Nodes by path."""

    @classmethod
    def of_state(cls, state: SandboxState) -> "ModelTree":
        found = cls()
        for entry in state.files:
            content = os.fsencode(entry.content)
            if entry.kind == "file":
                content = state.blobs[entry.content]
                assert hashlib.sha256(content).hexdigest() == entry.content
            found[os.fsencode(entry.path)] = Node(entry.kind, entry.mode, content)
        return found

    def copied(self) -> "ModelTree":
        """Return a tree in which each path has a node of its own."""
        return ModelTree({path: copy(node) for path, node in self.items()})

    def may(self, path: bytes, bits: int) -> bool:
        """Tell whether the user may pass the folders above, and has these bits in the last."""
        folders = [path[:end] for end, byte in enumerate(path) if byte == ord("/")]
        return all(self[folder].mode & 0o100 for folder in folders) and (
            not folders or self[folders[-1]].mode & bits == bits
        )

    def pick(self, index: int, kinds: tuple[str, ...], bits: int = 0, own: int = 0) -> bytes | None:
        """Choose an entry of one of the kinds; ``bits`` of its folder and ``own`` are set."""
        found = [
            path
            for path, node in sorted(self.items(), key=lambda item: item[0])
            if node.kind in kinds and node.mode & own == own and self.may(path, bits)
            if path.partition(b"/")[0] not in LEFT_ALONE
        ]
        return found[index % len(found)] if found else None

    def place(self, index: int) -> bytes:
        """Choose a path, taken or free, in a folder in which the user may create."""
        folders = [path for path in sorted(self) if self[path].kind == "directory"]
        name, index = NAMES[index % len(NAMES)], index // len(NAMES)
        paths = [
            name,
            *(path + b"/" + name for path in folders if path.partition(b"/")[0] not in LEFT_ALONE),
        ]
        paths = [path for path in paths if path.count(b"/") < 4 and self.may(path, 0o300)]
        return paths[index % len(paths)]

    def below(self, path: bytes) -> list[bytes]:
        """Return a path and all below it."""
        return [each for each in self if is_within(each, path)]

    def seen(self, but: bytes | None = None) -> list[str]:
        """Return the lines that ``programs/look.py`` prints; ``but`` names a folder left out."""
        lines = []
        for path, node in self.items():
            if not self.may(path, 0o500) or (but is not None and is_within(path, but)):
                continue
            content = node.content
            if node.kind == "file":
                digest = hashlib.sha256(content).hexdigest().encode()
                content = digest if node.mode & 0o400 else b"unreadable"
            lines.append(repr((path, node.kind, node.mode, content)))
        return sorted(lines)
