"""Git, run as a program of its own, without any configuration of the user's."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pivot_envs.errors import SourceError

_TIMEOUT_S = 600.0


def git(git_folder: Path | None, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run git and return what it prints.

    Args:
        git_folder: The repository's ``.git`` folder; None if the command needs none.
        arguments: Command and options.
        stdin: What git reads.

    Raises:
        SourceError: There is no git, or it fails.
    """
    place = () if git_folder is None else (f"--git-dir={git_folder.resolve()}",)
    try:
        run = subprocess.run(
            ["git", *place, *arguments],
            input=stdin,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "LC_ALL": "C.UTF-8",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_NO_REPLACE_OBJECTS": "1",
            },
        )
    except FileNotFoundError as error:
        raise SourceError("repositories need git, which is not installed here") from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"git {arguments[0]} did not end in {_TIMEOUT_S:g} s") from error
    if run.returncode:
        said = run.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise SourceError(f"git {arguments[0]} failed: {said[-1]}")
    return run.stdout


@dataclass(frozen=True, slots=True)
class Commit:
    """A whole tree, with what is said about it."""

    message: str
    files: Mapping[str, bytes] = field(repr=False)
    """Contents by path."""
    modes: Mapping[str, int] = field(repr=False)
    """Permission bits of the files that are not 0o644."""
    links: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Targets of symbolic links by path."""
    author: str = "nobody <nobody@invalid>"
    seconds: int = 0
    """Time since 1970, UTC."""
    tag: str = ""
    """Name of a tag on it; empty for none."""


def write_commits(git_folder: Path, commits: Iterable[Commit], *, branch: str) -> list[str]:
    """Make a bare repository of commits that follow each other; the same ones have the same ids.

    Returns:
        The commits' ids, in hex.

    Raises:
        SourceError: git fails.
    """
    git(None, "init", "--quiet", "--bare", "--template=", f"-b{branch}", str(git_folder))
    stream: list[bytes] = []
    count = 0
    for count, commit in enumerate(commits, start=1):
        stream += _commit_lines(commit, count, branch)
    marks = git_folder / "marks"
    git(
        git_folder,
        *("fast-import", "--quiet", "--date-format=raw", f"--export-marks={marks.resolve()}"),
        stdin=b"".join(stream),
    )
    named = dict(line.split() for line in marks.read_text().splitlines())
    marks.unlink()
    return [named[f":{number}"] for number in range(1, count + 1)]


def _commit_lines(commit: Commit, number: int, branch: str) -> list[bytes]:
    when = f"{commit.author} {commit.seconds} +0000"
    head = f"commit refs/heads/{branch}\nmark :{number}\nauthor {when}\ncommitter {when}\n"
    lines = [head.encode(), *_data(commit.message.encode())]
    if number > 1:
        lines.append(f"from :{number - 1}\n".encode())
    lines.append(b"deleteall\n")
    for path, content in commit.files.items():
        mode = b"100755" if commit.modes.get(path, 0o644) & 0o100 else b"100644"
        lines += [b"M ", mode, b" inline ", _quoted(path), b"\n", *_data(content)]
    for path, target in commit.links.items():
        lines += [b"M 120000 inline ", _quoted(path), b"\n", *_data(os.fsencode(target))]
    if commit.tag:
        lines.append(f"reset refs/tags/{commit.tag}\nfrom :{number}\n\n".encode())
    return lines


def _data(content: bytes) -> tuple[bytes, ...]:
    return (f"data {len(content)}\n".encode(), content, b"\n")


def _quoted(path: str) -> bytes:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return b'"' + os.fsencode(escaped) + b'"'
