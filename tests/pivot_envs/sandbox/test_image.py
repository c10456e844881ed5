import contextlib
from collections.abc import Iterator

import pytest

from pivot_envs.sandbox.__main__ import main
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.engine import IMAGE_LABEL, connect
from pivot_envs.sandbox.image import build_image


@pytest.fixture(scope="module")
def box(docker_image: str) -> Iterator[DockerSandbox]:
    with DockerSandbox(image=docker_image) as box:
        yield box


def output(box: DockerSandbox, command: str) -> str:
    result = box.run(command, timeout_s=20)
    assert result.exit_code == 0, result
    return result.output


@pytest.mark.docker
def test_an_image_is_labelled_and_has_a_user_of_its_own(docker_image: str) -> None:
    with contextlib.closing(connect()) as engine:
        settings = engine.inspect_image(docker_image)["Config"]
    assert settings["User"] == "agent"
    assert IMAGE_LABEL in settings["Labels"]


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_an_image_that_is_built_again_leaves_no_nameless_one(docker_image: str) -> None:
    name = "pivotrl-envs-tests:again"
    with contextlib.closing(connect()) as engine:
        first = build_image(name)
        second = build_image(name)
        left = {one["Id"] for one in engine.images()}
        engine.remove_image(name)
    assert second in left
    assert first not in left


@pytest.mark.docker
def test_an_image_has_what_a_coding_task_needs(box: DockerSandbox) -> None:
    assert output(box, "python3 -c 'import sys; print(sys.version_info >= (3, 9))'") == "True\n"
    modules = "pytest, unittest, json, sqlite3, ssl, ctypes, decimal, lzma, bz2, zoneinfo"
    output(box, f"python -c 'import {modules}'")
    for command in ("git init -q x && rm -r x", "echo a | sed s/a/b/ | grep b", "awk 'BEGIN {}'"):
        output(box, command)
    output(
        box, "printf 1 > a; tar czf /tmp/a.tgz a; tar xzf /tmp/a.tgz; ps aux; diff a a; which ls"
    )
    assert output(box, "pytest --version").startswith("pytest ")


@pytest.mark.docker
def test_sources_are_compiled_without_time_stamps(box: DockerSandbox) -> None:
    program = (
        "import pathlib, pytest; folder = pathlib.Path(pytest.__file__).parent; "
        "heads = [path.read_bytes()[4:8] for path in folder.rglob('*.pyc')]; "
        "print(len(heads) > 0, set(heads))"
    )
    assert output(box, f'python -c "{program}"') == "True {b'\\x01\\x00\\x00\\x00'}\n"


@pytest.mark.docker
def test_an_image_holds_neither_this_project_nor_its_tasks(box: DockerSandbox) -> None:
    found = output(box, "find / -xdev -name '*pivot*' -not -path '/proc/*' 2>/dev/null || true")
    assert found == ""
    assert output(box, "find / -xdev -perm /6000 -type f 2>/dev/null || true") == ""
    writable = output(box, "find / -xdev -type d -writable 2>/dev/null | sort")
    assert writable == "/tmp\n/workspace\n"


def test_a_machine_without_an_engine_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert main(["prune"]) == 1
    assert "error: no Docker engine answers at unix:///nowhere/docker.sock" in (
        capsys.readouterr().err
    )
