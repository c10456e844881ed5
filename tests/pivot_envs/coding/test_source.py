import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pivot_envs.coding.source import fetch_source
from pivot_envs.errors import SourceError

FILES = {
    "pyproject.toml": "[project]",
    "docs/conf.py": "",
    "tiny/__init__.py": "ONE = 1\n",
    "tests/test_tiny.py": "def test_one(): pass\n",
    "tests/data/one.txt": "1",
}
MakeRelease = Callable[..., Path]


def test_a_release_is_found_unpacked_and_kept(make_release: MakeRelease, tmp_path: Path) -> None:
    archive = make_release("tiny", "1.0", FILES)
    source = fetch_source("Tiny", "1.0", cache_dir=tmp_path / "cache")
    assert source.package_dirs == ("tiny",)
    assert source.test_dirs == ("tests",)
    assert sorted(source.files) == sorted(set(FILES) - {"docs/conf.py"})
    assert source.modes["tiny/__init__.py"] == 0o644
    archive.unlink()
    again = fetch_source("tiny", "1.0", sha256=source.sha256, cache_dir=tmp_path / "cache")
    assert again == source


def test_without_a_version_the_newest_release_is_fetched(
    make_release: MakeRelease, tmp_path: Path
) -> None:
    for version in ("1.9", "1.10", "1.2"):
        make_release("tiny", version, FILES)
    assert fetch_source("tiny", cache_dir=tmp_path / "cache").version == "1.10"


def test_a_src_layout_is_flattened(make_release: MakeRelease, tmp_path: Path) -> None:
    files = {"src/tiny/__init__.py": "", "src/tiny/tests/test_tiny.py": "", "setup.cfg": ""}
    make_release("tiny", "1.0", files)
    source = fetch_source("tiny", "1.0", cache_dir=tmp_path / "cache")
    assert sorted(source.files) == ["setup.cfg", "tiny/__init__.py", "tiny/tests/test_tiny.py"]
    assert source.package_dirs == ("tiny",)
    assert source.test_dirs == ("tiny/tests",)


def test_a_damaged_archive_in_the_cache_is_fetched_again(
    make_release: MakeRelease, tmp_path: Path
) -> None:
    make_release("tiny", "1.0", FILES)
    source = fetch_source("tiny", "1.0", cache_dir=tmp_path / "cache")
    (kept,) = (tmp_path / "cache" / "sources").glob("*.tar.gz")
    kept.write_bytes(b"damaged")
    assert fetch_source("tiny", "1.0", cache_dir=tmp_path / "cache") == source


def test_only_regular_files_inside_the_archive_are_unpacked(
    make_release: MakeRelease, tmp_path: Path
) -> None:
    path = make_release("tiny", "1.0", {})
    with tarfile.open(path, "w:gz") as archive:
        for name in (
            "tiny/__init__.py",
            "tests/test_tiny.py",
            "../tiny/out.py",
            "tiny/../../up.py",
        ):
            archive.addfile(tarfile.TarInfo(f"tiny-1.0/{name}"), io.BytesIO())
        link = tarfile.TarInfo("tiny-1.0/tiny/link.py")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("/absolute/tiny/root.py"), io.BytesIO())
    source = fetch_source("tiny", "1.0", cache_dir=tmp_path / "cache")
    assert sorted(source.files) == ["tests/test_tiny.py", "tiny/__init__.py"]


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("unknown", "1.0", "no source release of a package 'unknown'"),
        ("tiny", "2.0", "tiny has no source release '2.0'; the newest are 1.0"),
        ("tiny", "one", "'one' is no version number"),
        ("no name", None, "is no package name"),
    ],
)
def test_an_unknown_release_is_reported(
    make_release: MakeRelease, tmp_path: Path, name: str, version: str | None, message: str
) -> None:
    make_release("tiny", "1.0", FILES)
    with pytest.raises(SourceError, match=message):
        fetch_source(name, version, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tiny/__init__.py": ""}, "tiny 1.0 has no tests"),
        ({"tests/test_tiny.py": "", "tiny.c": ""}, "tiny 1.0 has no pure-Python package"),
    ],
)
def test_a_release_that_gives_no_tasks_is_reported(
    make_release: MakeRelease, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    make_release("tiny", "1.0", files)
    with pytest.raises(SourceError, match=message):
        fetch_source("tiny", "1.0", cache_dir=tmp_path / "cache")


def test_a_release_that_is_no_archive_is_reported(
    make_release: MakeRelease, tmp_path: Path
) -> None:
    make_release("tiny", "1.0", FILES).write_bytes(b"nothing")
    with pytest.raises(SourceError, match=r"tiny-1\.0\.tar\.gz is damaged"):
        fetch_source("tiny", "1.0", cache_dir=tmp_path / "cache")


def test_another_archive_than_the_expected_one_is_reported(
    make_release: MakeRelease, tmp_path: Path
) -> None:
    make_release("tiny", "1.0", FILES)
    with pytest.raises(SourceError, match="expected a release with SHA-256 0000"):
        fetch_source("tiny", "1.0", sha256="0" * 64, cache_dir=tmp_path / "cache")


def test_an_unreachable_index_is_reported_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    with pytest.raises(SourceError, match=r"cannot fetch tiny from .*check the network") as caught:
        fetch_source("tiny", "1.0", cache_dir=tmp_path / "cache")
    assert "secret" not in str(caught.value)


def test_a_cache_that_cannot_be_written_is_reported(
    make_release: MakeRelease, tmp_path: Path
) -> None:
    make_release("tiny", "1.0", FILES)
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(SourceError, match="cannot keep source releases in"):
        fetch_source("tiny", "1.0", cache_dir=tmp_path / "cache")
