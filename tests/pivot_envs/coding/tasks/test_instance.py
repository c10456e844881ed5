import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot_envs.coding.tasks.instance import Instance, parse_row, read_instances
from pivot_envs.errors import TaskError

# From the tests of SWE-agent, which took it from SWE-bench; NOTICE names both.
OFFICIAL = Path(__file__).parent / "data" / "swebench_instance.json"

ROW: dict[str, Any] = {
    "instance_id": "owner__tiny-1",
    "repo": "owner/tiny",
    "base_commit": "0123456789abcdef",
    "problem_statement": "it is broken",
    "hints_text": "",
    "patch": "diff --git a/a b/a\n",
    "test_patch": "",
    "FAIL_TO_PASS": ["tests/test_a.py::test_a"],
    "PASS_TO_PASS": [],
    "version": "1.0",
    "environment_setup_commit": "0123456",
}


def write(path: Path, *rows: Any) -> Path:
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return path


def without(*fields: str, **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**ROW, **changes}.items() if key not in fields}


def test_a_file_in_the_official_format_loads_unchanged() -> None:
    found = read_instances(OFFICIAL)
    assert found.problems == ()
    (instance,) = found.instances
    (row,) = json.loads(OFFICIAL.read_text())
    assert instance.instance_id == "scikit-learn__scikit-learn-11574"
    assert (instance.patch, instance.test_patch) == (row["patch"], row["test_patch"])
    assert instance.fail_to_pass == ("sklearn/ensemble/tests/test_iforest.py::test_deprecation",)
    assert len(instance.pass_to_pass) == 28
    assert not instance.patch_is_bug


def test_lists_of_tests_may_be_json_text(tmp_path: Path) -> None:
    text = without(FAIL_TO_PASS='["t.py::a", "t.py::b"]', PASS_TO_PASS="[]")
    (instance,) = read_instances(write(tmp_path / "rows.jsonl", text)).instances
    assert instance.fail_to_pass == ("t.py::a", "t.py::b")
    assert instance.pass_to_pass == ()


def test_unknown_fields_are_ignored() -> None:
    assert parse_row({**ROW, "difficulty": "<15 min fix", "query": 1}) == parse_row(ROW)


def test_rows_of_swe_smith_put_the_bug_in() -> None:
    row = without(
        *("base_commit", "test_patch", "hints_text", "version", "environment_setup_commit"),
        repo="swesmith/owner__tiny.0123abcd",
        image_name="jyangballin/swesmith.x86_64.owner_1776_tiny.0123abcd",
    )
    instance = parse_row(row)
    assert (instance.repo, instance.base_commit) == ("owner/tiny", "0123abcd")
    assert instance.patch_is_bug
    assert instance.image == row["image_name"]


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        (without("base_commit"), "base_commit", "repo does not end in a commit"),
        (without("problem_statement"), "problem_statement", "is missing; a SWE-bench row needs"),
        (without("test_patch"), "test_patch", "is missing; it may be empty"),
        (without(FAIL_TO_PASS="tests/a"), "FAIL_TO_PASS", "neither a list nor the JSON text"),
        (without(FAIL_TO_PASS=[]), "FAIL_TO_PASS", "at least 1 item"),
        (without(PASS_TO_PASS=["a", 3]), "PASS_TO_PASS.1", "valid string"),
        (without(PASS_TO_PASS={"a": 1}), "PASS_TO_PASS", "valid list"),
        (without(base_commit="main"), "base_commit", "should match pattern"),
        (without(repo="a/b/../c"), "repo", "should match pattern"),
        (without(patch=None), "patch", "valid string"),
        (3, "", "expected a JSON object, got int"),
        ("{broken", "", "no JSON"),
    ],
)
def test_a_broken_row_is_named_and_the_others_load(
    row: Any, field: str, reason: str, tmp_path: Path
) -> None:
    good = without(instance_id="owner__tiny-2")
    path = write(tmp_path / "rows.jsonl", "", row, good)
    found = read_instances(path)
    assert [each.instance_id for each in found.instances] == ["owner__tiny-2"]
    (problem,) = found.problems
    assert (problem.place, problem.field) == (f"{path}, line 2", field)
    assert reason in problem.reason
    assert "\n" not in str(problem)


def test_an_instance_that_occurs_twice_is_named(tmp_path: Path) -> None:
    found = read_instances(write(tmp_path / "rows.jsonl", ROW, ROW))
    assert len(found.instances) == 1
    assert "line 2, field instance_id: 'owner__tiny-1' occurs twice" in str(found.problems[0])


def test_entries_of_a_json_list_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([ROW, {}], indent=1))
    found = read_instances(path)
    assert len(found.instances) == 1
    assert found.problems[0].place == f"{path}, entry 2"


def test_compressed_files_are_read(tmp_path: Path) -> None:
    line = json.dumps(ROW).encode()
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(line))
    (tmp_path / "rows.jsonl.zst").write_bytes(zstandard.compress(line))
    for path in tmp_path.iterdir():
        assert read_instances(path).instances == (parse_row(ROW),)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("rows.json", b"[{]", "begins like a JSON list"),
        ("rows.jsonl.gz", b"none", "no readable task file"),
        ("rows.jsonl", b"\xff", "no readable task file"),
        ("rows.jsonl.zst", zstandard.compress(b"x" * 99)[:9], "no readable task file"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TaskError, match=reason):
        read_instances(tmp_path / name)
    with pytest.raises(TaskError, match="cannot read"):
        read_instances(tmp_path / "absent.jsonl")


texts = st.text(min_size=1)
tests = st.lists(texts, min_size=1).map(tuple)


@settings(deadline=None)
@given(
    statement=texts,
    patch=texts,
    test_patch=st.text(),
    failing=tests,
    passing=tests,
    hints=st.text(),
)
def test_an_instance_survives_being_written(
    statement: str, patch: str, test_patch: str, failing: Any, passing: Any, hints: str
) -> None:
    instance = Instance(
        *("a__b-1", "a/b", "0123456", statement, patch, test_patch, failing, passing, hints)
    )
    assert parse_row(json.loads(json.dumps(instance.as_row()))) == instance
