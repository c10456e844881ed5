import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pivot_envs.coding.tasks.repository import (
    check_out,
    find_repository,
    later_traces,
    strip_history,
)
from pivot_envs.errors import SourceError

GitAt = Callable[[Path], Callable[..., str]]


def unpack(history: dict[str, bytes], folder: Path) -> Path:
    for name, content in history.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / ".git"


def test_a_commit_is_read_with_modes_and_links(clone: Path, git_at: GitAt) -> None:
    found = check_out(clone, "owner/tiny", "base")
    assert found.commit == git_at(clone)("rev-parse", "base")
    assert set(found.files) == {"tiny.py", "run.sh", "a b/ü.txt", "tests/test_tiny.py"}
    assert found.files["tiny.py"] == b"def one():\n    return 2\n"
    assert (found.modes["run.sh"], found.modes["tiny.py"]) == (0o755, 0o644)
    assert found.links == {"link": "tiny.py"}


def test_the_history_ends_with_the_base_commit(clone: Path, git_at: GitAt, tmp_path: Path) -> None:
    found = check_out(clone, "owner/tiny", "base")
    box = tmp_path / "box"
    unpack(dict(found.history), box)
    for name, content in found.files.items():
        (box / name).parent.mkdir(parents=True, exist_ok=True)
        (box / name).write_bytes(content)
    (box / "run.sh").chmod(0o755)
    (box / "link").symlink_to("tiny.py")
    run = git_at(box)
    assert run("log", "--all", "--format=%s").split("\n") == ["second", "first"]
    assert run("status", "--porcelain") == ""
    assert run("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert run("remote") + run("stash", "list") + run("tag") == ""
    run("fsck", "--strict")


def test_no_later_object_is_left(clone: Path, tmp_path: Path, git_at: GitAt) -> None:
    found = check_out(clone, "owner/tiny", "base")
    git_folder = unpack(dict(found.history), tmp_path / "box")
    names = git_at(git_folder)("cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
    contents = [git_at(git_folder)("cat-file", "-p", name) for name in names.split()]
    assert any("return 2" in text for text in contents)
    assert not any("telling" in text or "stashed" in text for text in contents)
    raw = b"".join(found.history.values())
    assert b"telling" not in raw
    assert zlib.compress(b"telling")[2:-4] not in raw


def test_the_same_commit_gives_the_same_bytes(clone: Path) -> None:
    assert check_out(clone, "r", "base").history == check_out(clone, "r", "base").history


LEFT_OVERS = {
    "a tag": ("tag", "late", "{later}"),
    "a branch": ("branch", "late", "{later}"),
    "a remote": ("remote", "add", "origin", "https://invalid/tiny"),
    "a reflog": ("update-ref", "--create-reflog", "-m", "x", "refs/heads/main", "{base}"),
    "a fetched head": ("fetch", "-q", "{clone}", "trunk"),
}


@pytest.mark.parametrize("left_over", LEFT_OVERS)
def test_what_is_left_over_is_found(
    left_over: str, clone: Path, tmp_path: Path, git_at: GitAt
) -> None:
    base, later = (git_at(clone)("rev-parse", name) for name in ("base", "trunk"))
    git_folder = tmp_path / "stripped" / ".git"
    strip_history(clone / ".git", base, git_folder)
    assert later_traces(git_folder, base) == ()
    if "{later}" in LEFT_OVERS[left_over]:
        git_at(git_folder)("fetch", "-q", str(clone), "trunk")
        (git_folder / "FETCH_HEAD").unlink()
    words = [word.format(clone=clone, base=base, later=later) for word in LEFT_OVERS[left_over]]
    git_at(git_folder)(*words)
    assert later_traces(git_folder, base)


def test_a_lost_object_is_found(clone: Path, tmp_path: Path, git_at: GitAt) -> None:
    base = git_at(clone)("rev-parse", "base")
    git_folder = tmp_path / "stripped" / ".git"
    strip_history(clone / ".git", base, git_folder)
    name = git_at(git_folder)("hash-object", "-w", "--stdin", stdin="return 1  # the telling fix\n")
    assert later_traces(git_folder, base) == (f"blob {name} is not reached",)


def test_a_whole_clone_has_many_later_traces(clone: Path, git_at: GitAt) -> None:
    traces = "\n".join(later_traces(clone / ".git", git_at(clone)("rev-parse", "base")))
    for name in ("refs/tags/v1", "refs/stash", "refs/notes", "logs/HEAD", "config"):
        assert name in traces


def test_a_bundle_and_a_bare_clone_do_as_well(clone: Path, tmp_path: Path, git_at: GitAt) -> None:
    bundle = tmp_path / "tiny.bundle"
    git_at(clone)("bundle", "create", str(bundle), "--all")
    git_at(tmp_path)("clone", "-q", "--mirror", str(clone), str(tmp_path / "tiny.git"))
    expected = check_out(clone, "owner/tiny", "base")
    for path in (bundle, tmp_path / "tiny.git"):
        found = check_out(path, "owner/tiny", expected.commit[:9], cache_dir=tmp_path / "cache")
        assert (found.commit, found.files) == (expected.commit, expected.files)


def test_a_clone_that_was_cut_off_does_as_well(clone: Path, tmp_path: Path, git_at: GitAt) -> None:
    git_at(clone)("branch", "cut", "base")
    shallow = tmp_path / "shallow"
    git_at(tmp_path)("clone", "-q", "--depth=1", "--branch=cut", f"file://{clone}", str(shallow))
    found = check_out(shallow, "owner/tiny", "HEAD")
    git_folder = unpack(dict(found.history), tmp_path / "box")
    assert git_at(git_folder)("log", "--format=%s") == "second"


def test_repositories_are_found_by_their_names(clone: Path) -> None:
    assert find_repository(clone.parent, "owner/tiny") == clone
    renamed = clone.rename(clone.with_name("tiny"))
    assert find_repository(clone.parent, "owner/tiny") == renamed
    with pytest.raises(SourceError, match=r"no clone or bundle of owner/huge; expected one of"):
        find_repository(clone.parent, "owner/huge")


def test_what_is_missing_is_named(clone: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no commit 0123456 of owner/tiny: fetch it first"):
        check_out(clone, "owner/tiny", "0123456")
    with pytest.raises(SourceError, match="neither a git repository nor a bundle"):
        check_out(tmp_path, "owner/tiny", "base")
    (tmp_path / "no.bundle").write_text("nothing")
    with pytest.raises(SourceError, match="git clone failed"):
        check_out(tmp_path / "no.bundle", "owner/tiny", "base", cache_dir=tmp_path)
