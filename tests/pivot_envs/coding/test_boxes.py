"""The coding environment in boxes of either kind, and its snapshots between them."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from pivot_envs.coding.env import CodingEnv
from pivot_envs.core import PivotEnv
from pivot_envs.errors import SandboxUnavailableError, SnapshotError
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.engine import OWNER_LABEL, Owner, connect
from pivot_envs.sandbox.limits import Limits
from pivot_envs.snapshot import Snapshot
from pivot_envs.testing import check_pivot_env

CLAMP = "tiny-1.0/clamp"
MEGABYTE = 1024 * 1024

MakeEnv = Callable[..., CodingEnv]


@pytest.fixture
def make_env(tiny_tasks: Path) -> Iterator[MakeEnv]:
    """Return a function that makes environments as users do; each is closed in the end."""
    with contextlib.ExitStack() as made:

        def make(**options: Any) -> CodingEnv:
            env = gym.make("pivot/Coding-v0", tasks=str(tiny_tasks), **options)
            made.callback(env.close)
            assert isinstance(env.unwrapped, CodingEnv)
            return env.unwrapped

        yield make


def act(env: PivotEnv, name: str, **arguments: Any) -> str:
    observation, *_, info = env.step(json.dumps({"name": name, "arguments": arguments}))
    assert info["infra_error"] is None
    return observation


def populate(env: PivotEnv) -> Snapshot:
    env.reset(seed=0, options={"task_id": CLAMP})
    act(env, "view")
    act(env, "bash", command="mkdir -p a/empty; ln -s none a/l; chmod 700 a; printf '\\377' > a/b")
    act(env, "bash", command="cd a; export X='a b'; f() { echo $X; }; alias g=f; set -o noglob")
    return env.snapshot()


@pytest.mark.docker
def test_the_environment_keeps_its_contract_in_docker_boxes(
    tiny_tasks: Path, docker_image: str
) -> None:
    make_env = partial(
        gym.make, "pivot/Coding-v0", tasks=str(tiny_tasks), sandbox="docker", image=docker_image
    )
    check_pivot_env(make_env, check_process=False)


@pytest.mark.docker
@pytest.mark.parametrize("kinds", [("embedded", "docker"), ("docker", "embedded")])
def test_a_snapshot_moves_between_boxes_of_either_kind(
    make_env: MakeEnv, docker_image: str, kinds: tuple[str, str]
) -> None:
    options = {"embedded": {}, "docker": {"sandbox": "docker", "image": docker_image}}
    one, other = (make_env(**options[kind]) for kind in kinds)
    snapshot = populate(one)
    digest = one.effect().state_digest
    seen = act(one, "bash", command="f; pwd; stat -c %a .; readlink l; shopt -po noglob")
    other.reset(options={"snapshot": snapshot})
    again = other.snapshot()
    assert again == snapshot
    assert again.digest == snapshot.digest
    assert other.effect().state_digest == digest
    assert act(other, "bash", command="f; pwd; stat -c %a .; readlink l; shopt -po noglob") == seen
    one.reset(options={"snapshot": again})
    for env in (one, other):
        env.reset(options={"snapshot": again})
        act(env, "edit", path="tiny.py", line=9, old="low", new="high")
        assert env.step('{"name": "submit"}')[1] == 1.0


@pytest.mark.docker
def test_a_restore_applies_the_limits_of_the_snapshot(make_env: MakeEnv, docker_image: str) -> None:
    options = {"sandbox": "docker", "image": docker_image}
    tight = {"memory_bytes": 128 * MEGABYTE, "processes": 40, "cpus": 0.5, "network": "none"}
    snapshot = populate(make_env(**options, limits=tight))
    saved = snapshot.state["env"]["limits"]
    assert saved == {**Limits().as_json(), **tight}
    env = make_env(**options)
    env.reset(seed=0)
    wide = settings_of(env)
    env.reset(options={"snapshot": snapshot})
    found = settings_of(env)
    assert wide["Memory"] - found["Memory"] == (1024 - 128) * MEGABYTE
    assert wide["PidsLimit"] - found["PidsLimit"] == 128 - 40
    assert (wide["NanoCpus"], found["NanoCpus"]) == (0, 500_000_000)
    assert found["NetworkMode"] == "none"
    assert env.snapshot().digest == snapshot.digest
    env.reset(seed=0)
    assert settings_of(env) == wide


@pytest.mark.docker
def test_a_snapshot_with_limits_that_an_embedded_box_lacks_is_refused_by_one(
    make_env: MakeEnv, docker_image: str
) -> None:
    limited = make_env(sandbox="docker", image=docker_image, limits={"cpus": 0.5})
    snapshot = populate(limited)
    embedded = make_env()
    with pytest.raises(SnapshotError, match=r"more than this environment holds.*sandbox='docker'"):
        embedded.reset(options={"snapshot": snapshot})
    embedded.reset(options={"task_id": CLAMP})
    assert act(embedded, "bash", command="echo usable").startswith("usable")


def settings_of(env: CodingEnv) -> dict[str, Any]:
    """Return what the engine says about the environment's container."""
    assert isinstance(env._sandbox, DockerSandbox)
    with contextlib.closing(connect()) as engine:
        return dict(engine.inspect_container(env._sandbox.container_id)["HostConfig"])


def test_limits_come_back_in_an_embedded_box_too(make_env: MakeEnv) -> None:
    snapshot = populate(make_env(limits={"memory_bytes": 300 * MEGABYTE}))
    env = make_env()
    env.reset(seed=0)
    assert act(env, "bash", command="ulimit -v") == f"{1024 * 1024}\n[exit code 0]"
    env.reset(options={"snapshot": snapshot})
    assert act(env, "bash", command="ulimit -v") == f"{300 * 1024}\n[exit code 0]"


@pytest.mark.parametrize(
    "limits",
    [{"memory_bytes": 2048 * MEGABYTE}, {"processes": 129}, {"file_bytes": 65 * MEGABYTE}],
)
def test_a_snapshot_of_wider_limits_is_refused(make_env: MakeEnv, limits: dict[str, int]) -> None:
    snapshot = populate(make_env(limits=limits))
    env = make_env()
    with pytest.raises(SnapshotError, match=f"wider limits.*{next(iter(limits))}.*limits="):
        env.reset(options={"snapshot": snapshot})
    make_env(limits=limits).reset(options={"snapshot": snapshot})


def test_a_snapshot_that_names_no_limits_is_resumed_under_the_environments(
    make_env: MakeEnv,
) -> None:
    env = make_env()
    snapshot = populate(env)
    manifest = json.loads(json.dumps(snapshot.manifest()))
    del manifest["state"]["env"]["limits"]
    older = Snapshot.from_manifest(manifest, snapshot.blobs)
    manifest["digest"] = older.computed_digest()
    env.reset(options={"snapshot": Snapshot.from_manifest(manifest, snapshot.blobs)})
    assert env.snapshot().digest == snapshot.digest


@pytest.mark.parametrize(
    "damaged", [{}, {"memory_bytes": "1"}, {"network": None}, {"more": 1}, [], "none"]
)
def test_damaged_limits_are_refused(make_env: MakeEnv, damaged: Any) -> None:
    env = make_env()
    snapshot = populate(env)
    manifest = json.loads(json.dumps(snapshot.manifest()))
    limits = manifest["state"]["env"]["limits"]
    wrong = {**limits, **damaged} if isinstance(damaged, dict) and damaged else damaged
    manifest["state"]["env"]["limits"] = wrong
    manifest["digest"] = Snapshot.from_manifest(manifest, snapshot.blobs).computed_digest()
    with pytest.raises(SnapshotError, match="damaged"):
        env.reset(options={"snapshot": Snapshot.from_manifest(manifest, snapshot.blobs)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limits": 5}, "limits must map names of limits to values, got 5"),
        ({"sandbox": "docker", "unsafe": True}, "unsafe=True is for embedded boxes"),
        ({"sandbox": "podman"}, "sandbox must be one of embedded, docker, got 'podman'"),
        ({"image": "some"}, "image='some' .* for sandbox='docker'"),
        ({"spare_boxes": 1}, "spare_boxes=1 are for sandbox='docker'"),
        ({"sandbox": "docker", "spare_boxes": -1}, "at least 0, got -1"),
        ({"limits": {"memory": 1}}, "limits are .*memory_bytes"),
        ({"limits": {"memory_bytes": 0}}, "at least 1"),
        ({"limits": {"network": "bridge"}}, "embedded box has no network.*sandbox='docker'"),
        ({"limits": {"cpus": 1.0}}, "does not limit processor time"),
        ({"sandbox": "docker", "limits": {"memory_bytes": 1}}, "memory_bytes of at least"),
    ],
)
def test_a_box_that_cannot_be_is_refused(
    make_env: MakeEnv, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_env(**options)


@pytest.mark.docker
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"image": "lost/image:1"},
            "no image 'lost/image:1'; .*docker pull lost/image:1, .*build-image lost/image:1",
        ),
        ({"limits": {"network": "lost"}}, "no network 'lost', only .*docker network create lost"),
    ],
)
def test_what_the_engine_lacks_is_told_when_the_environment_is_made(
    make_env: MakeEnv, docker_image: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SandboxUnavailableError, match=message):
        make_env(**{"sandbox": "docker", "image": docker_image, **options})


def test_a_missing_engine_is_told_when_the_environment_is_made(
    make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxUnavailableError, match=r"no Docker engine .*none.sock.*Start one"):
        make_env(sandbox="docker")


def test_a_missing_client_is_told_when_the_environment_is_made(
    make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(SandboxUnavailableError, match=r"pip install 'pivotrl-envs\[docker\]'"):
        make_env(sandbox="docker")


@pytest.mark.docker
def test_making_an_environment_starts_no_container(make_env: MakeEnv, docker_image: str) -> None:
    env = make_env(sandbox="docker", image=docker_image, spare_boxes=2)
    label = f"{OWNER_LABEL}={Owner.current().text()}"
    with contextlib.closing(connect()) as engine:
        assert engine.containers(all=True, filters={"label": label}) == []
    assert isinstance(env._sandbox, DockerSandbox)
    assert env._sandbox.container_id == ""


@pytest.mark.docker
def test_an_image_in_which_nothing_can_be_graded_is_refused_by_the_first_reset(
    make_env: MakeEnv, bare_image: str
) -> None:
    env = make_env(sandbox="docker", image=bare_image)
    with pytest.raises(SandboxUnavailableError, match=rf"{bare_image}: it has no Python 3\.9"):
        env.reset(seed=0)
