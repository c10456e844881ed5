import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pivot_envs.sandbox import folders, layout
from pivot_envs.sandbox.base import Sandbox

MakeBox = Callable[..., Sandbox]


def test_a_hidden_folder_cannot_be_read_or_written(
    make_embedded_box: MakeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = Path(pytest.__file__).parent.parent
    hidden = packages / "hypothesis"
    monkeypatch.setattr(layout, "_PACKAGE", str(hidden))
    with make_embedded_box() as box:
        for name, code in (("pluggy", 0), ("hypothesis", 1), ("hypothesis/internal", 1)):
            read = box.run(f"head -c 10 {packages}/{name}/__init__.py", timeout_s=5)
            assert read.exit_code == code, read
        assert box.run(f"ls {packages}", timeout_s=5).exit_code == 0
        assert box.run(f"touch {hidden}/x", timeout_s=5).exit_code == 1
        if box.level == "namespaces":
            assert box.run(f"ls -A {hidden}", timeout_s=5).output == ""
        box.write_file("test_a.py", b"def test_a(): pass\n")
        assert box.run_tests(["test_a.py"], timeout_s=30).outcomes == {
            "test_a.py::test_a": "passed"
        }


def test_no_copy_of_a_hidden_package_is_shown(make_embedded_box: MakeBox) -> None:
    copies = layout.find_copies((str(Path(pytest.__file__).parents[1]),), ("hypothesis",))
    assert str(Path(pytest.__file__).parents[1] / "hypothesis") in copies
    with make_embedded_box(hidden_packages=("hypothesis", "pluggy")) as box:
        for copy in copies:
            shown = box.run(f"find {copy} -type f -size +0 -exec head -c 9 {{}} +", timeout_s=20)
            assert "import" not in shown.output
        assert box.run("python -c 'import pluggy'", timeout_s=20).output == ""
        assert box.run("python -c 'from hypothesis import given'", timeout_s=20).exit_code == 1


def test_copies_are_found_where_packages_bring_them_along(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    places = [
        site / "some",
        site / "setuptools" / "_vendor" / "some",
        tmp_path / "third_party/some",
    ]
    for place in (*places, site / "other" / "some", tmp_path / "lib" / "some"):
        place.mkdir(parents=True)
    (site / "some.py").touch()
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("setuptools/_vendor/some/__init__.py", "")
    expected = {*map(str, places), f"{site}/some.py", f"{tmp_path}/a.whl"}
    assert set(layout.find_copies((str(tmp_path),), ("some", "pytest"))) == expected


@pytest.fixture
def clean_folder() -> Iterator[Path]:
    """A folder with no file above it that steers pytest."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        yield Path(name)


def test_a_box_without_mounts_avoids_files_that_steer_pytest(
    clean_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clean_folder / "below").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(clean_folder / "below"))
    assert Path(folders.make_folder(None)).parent == clean_folder / "below"
    (clean_folder / "pytest.ini").write_text("")
    elsewhere = Path(folders.make_folder(None))
    shutil.rmtree(elsewhere)
    assert not elsewhere.is_relative_to(clean_folder)


def test_an_ended_box_leaves_no_folder_however_deep_it_was(
    make_box: MakeBox, level: str, clean_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean_folder.chmod(0o755)
    monkeypatch.setattr("tempfile.tempdir", str(clean_folder))
    deep = "import os\nfor _ in range(3_000): os.mkdir('d'); os.chdir('d')"
    with make_box() as box:
        assert len(list(clean_folder.iterdir())) == (level == "landlock")
        assert box.run(f'python -I -S -c "{deep}"', timeout_s=20).exit_code == 0
    assert list(clean_folder.iterdir()) == []


def test_a_spare_user_is_nobodys() -> None:
    numbers = {folders.spare_uid() for _ in range(20)}
    assert len(numbers) > 1
    assert not numbers & {Path(f"/proc/{name}").stat().st_uid for name in ("self", "1")}
