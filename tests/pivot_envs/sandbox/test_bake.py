import contextlib
import io
import tarfile
from collections.abc import Iterator

import pytest

from pivot_envs.errors import SandboxError, SandboxUnavailableError
from pivot_envs.sandbox.__main__ import main
from pivot_envs.sandbox.bake import bake_workspace
from pivot_envs.sandbox.base import SandboxState
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.engine import connect

pytestmark = pytest.mark.docker

PROJECT, BAKED = "pivotrl-envs-tests-project", "pivotrl-envs-tests-baked:1"
FILES = {"pkg/__init__.py": b"answer = 42\n", "test_it.py": b"import pkg\ndef test_it(): pass\n"}


@pytest.fixture(scope="module")
def project(docker_image: str) -> Iterator[str]:
    """An image with a project in /testbed, which a file of the image's Python points to."""
    content = io.BytesIO()
    files = {f"testbed/{path}": text for path, text in FILES.items()}
    files["Dockerfile"] = f"FROM {docker_image}\nCOPY testbed /testbed\nENV NAMED=1\n".encode()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(text), 0o755 if path.endswith("it.py") else 0o644
            archive.addfile(member, io.BytesIO(text))
    content.seek(0)
    with contextlib.closing(connect()) as engine:
        list(engine.build(fileobj=content, custom_context=True, tag=PROJECT, rm=True))
        yield PROJECT
        for name in (BAKED, PROJECT):
            with contextlib.suppress(Exception):
                engine.remove_image(name, force=True)


def test_a_box_of_a_baked_image_starts_with_the_folder_as_its_workspace(
    project: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bake", project, "/testbed", BAKED]) == 0
    assert capsys.readouterr().out.startswith(f"baked {BAKED}: sha256:")
    with DockerSandbox(image=BAKED) as box:
        state = box.save()
        assert {e.path: state.blobs[e.content] for e in state.files if e.kind == "file"} == FILES
        assert {entry.mode for entry in state.files if entry.path == "test_it.py"} == {0o755}
        seen = box.run(
            "cat /testbed/pkg/__init__.py; echo $NAMED; stat -c %U pkg; pwd", timeout_s=10
        )
        assert seen.output == "answer = 42\n1\nagent\n/workspace\n"
        box.run("rm -r pkg; echo new > new", timeout_s=10)
        box.load(state)
        assert box.save() == state
        assert box.run_tests(["test_it.py"], timeout_s=20).outcomes == {
            "test_it.py::test_it": "passed"
        }
        box.load(SandboxState((), "", {}))
    with contextlib.closing(connect()) as engine:
        before, after = (engine.inspect_image(name)["Config"] for name in (project, BAKED))
    for setting in ("Entrypoint", "Cmd", "User", "WorkingDir", "Env"):
        assert (before[setting] or None) == (after[setting] or None), setting


def test_what_cannot_be_baked_is_refused(project: str) -> None:
    with pytest.raises(SandboxError, match=r"/nowhere.*No such file"):
        bake_workspace(project, "/nowhere", BAKED)
    with pytest.raises(SandboxUnavailableError, match="no image 'none'"):
        bake_workspace("none", "/testbed", BAKED)
    for folder in ("testbed", "/", "/a/../b"):
        with pytest.raises(ValueError, match="absolute path of a folder"):
            bake_workspace(project, folder, BAKED)
