import contextlib
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pivot_envs.errors import SandboxUnavailableError
from pivot_envs.sandbox.container_pool import ContainerPool
from pivot_envs.sandbox.docker import DockerSandbox
from pivot_envs.sandbox.engine import OWNER_LABEL, Owner, connect
from pivot_envs.sandbox.limits import Limits

pytestmark = pytest.mark.docker


@pytest.fixture
def engine(docker_image: str) -> Iterator[Any]:
    with contextlib.closing(connect()) as engine:
        yield engine


@pytest.fixture
def await_containers(engine: Any) -> Callable[[int], set[str]]:
    """Return a function that waits until this process has so many running containers."""
    label = f"{OWNER_LABEL}={Owner.current().text()}"

    def wait(count: int) -> set[str]:
        deadline = time.monotonic() + 30
        while True:
            found = engine.containers(filters={"label": label})
            if len(found) == count or time.monotonic() > deadline:
                assert len(found) == count
                return {one["Id"] for one in found}
            time.sleep(0.05)

    return wait


def test_a_taken_container_was_started_before_and_is_replaced(
    docker_image: str, await_containers: Callable[[int], set[str]]
) -> None:
    pool = ContainerPool(docker_image, Limits(), 2)
    first = pool.take()
    ready = await_containers(3) - {first.id}
    second = pool.take()
    assert second.id in ready
    await_containers(4)
    pool.close()
    assert await_containers(2) == {first.id, second.id}
    first.remove()
    second.remove()
    await_containers(0)


def test_a_container_that_died_while_it_waited_is_not_handed_out(
    docker_image: str, engine: Any, await_containers: Callable[[int], set[str]]
) -> None:
    pool = ContainerPool(docker_image, Limits(), 1)
    first = pool.take()
    (waiting,) = await_containers(2) - {first.id}
    time.sleep(1)
    engine.kill(waiting)
    second = pool.take()
    assert second.id != waiting
    assert second.is_alive()
    pool.close()
    first.remove()
    second.remove()
    await_containers(0)


def test_a_box_takes_a_spare_after_its_own_container_was_killed(
    docker_image: str, engine: Any, await_containers: Callable[[int], set[str]]
) -> None:
    box = DockerSandbox(image=docker_image, spare_boxes=1)
    box.start()
    killed = box.container_id
    spare = await_containers(2) - {killed}
    engine.kill(killed)
    box.restart()
    assert {box.container_id} == spare
    assert box.run("echo on", timeout_s=10).output == "on\n"
    box.close()
    await_containers(0)


def test_boxes_share_their_spares_and_the_last_one_removes_them(
    docker_image: str, await_containers: Callable[[int], set[str]]
) -> None:
    one, other = (DockerSandbox(image=docker_image, spare_boxes=1) for _ in range(2))
    one.start()
    other.start()
    await_containers(3)
    one.close()
    await_containers(2)
    other.close()
    await_containers(0)
    one.start()
    await_containers(2)
    del one
    await_containers(0)


def test_the_reason_why_no_container_comes_up_is_told_each_time(docker_image: str) -> None:
    pool = ContainerPool("lost/image", Limits(), 1)
    for _ in range(2):
        with pytest.raises(SandboxUnavailableError, match="build-image lost/image"):
            pool.take()
    pool.close()


def test_a_pool_has_a_size() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ContainerPool("some", Limits(), 0)


def test_boxes_that_the_garbage_collector_ends_leave_their_pools_at_any_time() -> None:
    ended = threading.Event()

    def join_and_leave() -> None:
        for number in range(200):
            garbage = _InACycle()
            pool = ContainerPool.join(f"image-{number}", Limits(), 1)
            weakref.finalize(garbage, pool.leave, 1)
        ended.set()

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        threading.Thread(target=join_and_leave, daemon=True).start()
        assert ended.wait(30)
    finally:
        gc.set_threshold(*thresholds)


class _InACycle:
    def __init__(self) -> None:
        self.me = self


def test_boxes_share_a_pool_whatever_number_of_spares_they_ask_for() -> None:
    small, large = (ContainerPool.join("image", Limits(), size) for size in (1, 3))
    try:
        assert small is large
        assert large._size == 3
        large.leave(3)
        assert small._size == 1
    finally:
        small.leave(1)
    other = ContainerPool.join("image", Limits(), 1)
    other.leave(1)
    assert other is not small
