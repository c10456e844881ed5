import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot_envs.coding.diff import apply_diff, parse_diff, write_diff
from pivot_envs.errors import TaskError

TEXTS = st.text(st.sampled_from("ab\n\r\x0c -+@\\"), max_size=40)

GIT = """\
diff --git a/pkg/old.py b/pkg/new.py
similarity index 66%
rename from pkg/old.py
rename to pkg/new.py
index 1a..2b 100644
--- a/pkg/old.py
+++ b/pkg/new.py
@@ -1,3 +1,3 @@ def f():
 one
-two
+--- 2
 three
diff --git a/empty.py b/empty.py
new file mode 100644
index 000..000
diff --git a/gone.txt b/gone.txt
deleted file mode 100644
--- a/gone.txt
+++ /dev/null
@@ -1 +0,0 @@
-last words
\\ No newline at end of file
"""


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_a_diff_turns_the_old_text_into_the_new_one(old: str, new: str) -> None:
    diff = write_diff("a.py", old, new)
    assert apply_diff(diff, {"a.py": old}.get) == ({} if old == new else {"a.py": new})


@settings(deadline=None)
@given(TEXTS)
def test_a_diff_makes_and_removes_files(text: str) -> None:
    assert apply_diff(write_diff("a.py", None, text), {}.get) == {"a.py": text}
    assert apply_diff(write_diff("a.py", text, None), {"a.py": text}.get) == {"a.py": None}


def test_a_diff_of_git_is_read_with_renames_new_files_and_lines_like_headers() -> None:
    files = {"pkg/old.py": "one\ntwo\nthree\nfour\n", "gone.txt": "last words"}
    assert apply_diff(GIT, files.get) == {
        "pkg/old.py": None,
        "pkg/new.py": "one\n--- 2\nthree\nfour\n",
        "empty.py": "",
        "gone.txt": None,
    }
    rename, _, gone = parse_diff(GIT)
    assert rename.hunks[0].added == ("--- 2\n",)
    assert gone.hunks[0].removed == ("last words",)


def test_a_diff_without_headers_of_git_is_read() -> None:
    diff = "--- a.py\t2020-01-01\n+++ a.py\t2020-01-02\n@@ -1 +1,2 @@\n one\n+two\n"
    assert apply_diff(diff, {"a.py": "one\n"}.get) == {"a.py": "one\ntwo\n"}


@pytest.mark.parametrize(
    ("diff", "reason"),
    [
        ("some text", "no unified diff: it begins with 'some text'"),
        ("diff --git a/a.py b/a.py\nBinary files a and b differ\n", "binary"),
        ("--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n one\n", "ends inside the region"),
        ("--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n one\n*two\n", r"damaged at '\*two'"),
        ("--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-two\n+2\n", "does not fit a.py:1"),
        ("--- a/a.py\n+++ b/a.py\n@@ -9 +9 @@\n-two\n+2\n", "the file has 'the end of the file'"),
        ("--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n-two\n+2\n", "'b.py', which is not there"),
    ],
)
def test_a_diff_that_is_damaged_or_does_not_fit_is_refused(diff: str, reason: str) -> None:
    with pytest.raises(TaskError, match=reason):
        apply_diff(diff, {"a.py": "one\n"}.get)
