import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Git = Callable[..., str]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a base commit tagged ``base`` and all that may come after it."""
    folder = tmp_path / "repositories" / "owner__tiny"
    folder.mkdir(parents=True)
    run = git_in(folder)
    run("init", "-q", "-b", "trunk")
    write(folder, {"tiny.py": "def one():\n    return 2\n", "run.sh": "echo\n", "a b/ü.txt": "1"})
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("tiny.py")
    run("add", "-A")
    run("commit", "-q", "-m", "first")
    write(folder, {"tests/test_tiny.py": "from tiny import one\n\n\ndef test_it():\n    one()\n"})
    run("add", "-A")
    run("commit", "-q", "-m", "second")
    run("tag", "base")
    write(folder, {"tiny.py": "def one():\n    return 1  # the telling fix\n"})
    run("commit", "-q", "-a", "-m", "fix it")
    run("tag", "-a", "v1", "-m", "a release")
    run("branch", "other")
    write(folder, {"tiny.py": "stashed\n"})
    run("stash")
    run("remote", "add", "origin", "https://invalid/tiny")
    run("notes", "add", "-m", "a note")
    run("commit", "-q", "--allow-empty", "-m", "lost")
    run("reset", "-q", "--hard", "HEAD~1")
    return folder


@pytest.fixture
def git_at() -> Callable[[Path], Git]:
    return git_in


def git_in(folder: Path) -> Git:
    def run(*arguments: str, stdin: str = "") -> str:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_AUTHOR_NAME": "a",
                "GIT_AUTHOR_EMAIL": "a@invalid",
                "GIT_COMMITTER_NAME": "a",
                "GIT_COMMITTER_EMAIL": "a@invalid",
            },
        ).stdout.strip()

    return run


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
