import json
import subprocess
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pivot_envs.coding.tasks.predictions import Prediction, state_patch, write_predictions
from pivot_envs.sandbox.base import FileEntry, SandboxState
from pivot_envs.snapshot import sha256

Files = dict[str, bytes]


def state(files: Files, links: dict[str, str] | None = None, mode: int = 0o644) -> SandboxState:
    entries = [FileEntry(path, "file", mode, sha256(content)) for path, content in files.items()]
    entries += [FileEntry(path, "symlink", 0o777, to) for path, to in (links or {}).items()]
    blobs = {sha256(content): content for content in files.values()}
    return SandboxState(files=tuple(entries), shell="", blobs=blobs)


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def applied(folder: Path, patch: str) -> Files:
    """Apply a patch as SWE-bench's harness does, and return the files."""
    if patch:
        subprocess.run(
            ["git", "apply", "--verbose", "-"],
            cwd=folder,
            input=patch.encode("utf-8", errors="surrogateescape"),
            capture_output=True,
            check=True,
            env={"GIT_CEILING_DIRECTORIES": str(folder.parent), "PATH": "/usr/bin:/bin"},
        )
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_the_patch_is_the_difference_and_nothing_else() -> None:
    before = state({"a.py": b"1\n", "b.py": b"2\n", ".git/HEAD": b"x"})
    after = state({"a.py": b"1\n", "b.py": b"3\n", ".git/HEAD": b"y", "__pycache__/a.pyc": b"z"})
    assert state_patch(before, after) == (
        "diff --git a/b.py b/b.py\nindex 0cfbf08..00750ed 100644\n--- a/b.py\n+++ b/b.py\n"
        "@@ -1 +1 @@\n-2\n+3\n"
    )


def test_nothing_changed_is_an_empty_patch() -> None:
    assert state_patch(state({"a": b"1"}), state({"a": b"1"}, mode=0o600)) == ""


def test_the_graders_files_are_left_out() -> None:
    before, after = state({"tests/test_a.py": b"1\n"}), state({"tests/test_a.py": b"2\n"})
    assert state_patch(before, after, left_out={"tests/test_a.py"}) == ""
    assert "test_a" in state_patch(before, after)


def test_modes_and_links_are_in_the_patch() -> None:
    before = state({"run": b"1\n"})
    patch = state_patch(before, state({"run": b"1\n"}, {"link": "run"}, mode=0o755))
    assert "old mode 100644\nnew mode 100755" in patch
    assert "new file mode 120000" in patch


names = st.sampled_from(["a.py", "b.py", "in/c.txt", "in/side/ü.bin", "d e.py", 'q"t\\.py'])
contents = st.one_of(st.binary(max_size=30), st.text("ab\n", max_size=30).map(str.encode))
trees = st.dictionaries(names, contents, max_size=5)


@given(before=trees, after=trees)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_patch_applied_to_the_base_gives_the_work(
    before: Files, after: Files, tmp_path_factory: "object"
) -> None:
    folder = tmp_path_factory.mktemp("tree")  # type: ignore[attr-defined]
    write(folder, before)
    assert applied(folder, state_patch(state(before), state(after))) == after


def test_predictions_are_lines_as_the_harness_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(
        path, [Prediction("a__b-1", "mine", "diff"), Prediction("a__b-2", "mine", "")]
    )
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows[0] == {
        "instance_id": "a__b-1",
        "model_name_or_path": "mine",
        "model_patch": "diff",
    }
    assert len(rows) == 2
