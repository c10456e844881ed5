"""The Docker images in which SWE-bench's instances are run, by the names they are given."""

import contextlib
from collections.abc import Iterable

from pivot_envs.coding.tasks.instance import Instance
from pivot_envs.errors import InfraError
from pivot_envs.sandbox.engine import connect


def image_names(instance: Instance) -> tuple[str, ...]:
    """Return the names that an instance's image may have, the row's own first.

    The others are what SWE-bench's harness builds, what SWE-bench publishes, and what SWE-Gym
    does.
    """
    name = instance.instance_id.lower()
    conventions = (
        f"sweb.eval.x86_64.{name}:latest",
        f"swebench/sweb.eval.x86_64.{name.replace('__', '_1776_')}:latest",
        f"xingyaoww/sweb.eval.x86_64.{name.replace('__', '_s_')}:latest",
    )
    own = (_tagged(instance.image),) if instance.image else ()
    return (*own, *conventions)


def find_images(instances: Iterable[Instance]) -> dict[str, str]:
    """Return by instance id the image that the Docker engine has of it.

    Instances without an image are left out, and so are all where no engine answers.
    """
    try:
        engine = connect()
    except InfraError:
        return {}
    with contextlib.closing(engine):
        present = {tag for image in engine.images() for tag in image["RepoTags"] or ()}
    found: dict[str, str] = {}
    for instance in instances:
        names = [name for name in image_names(instance) if name in present]
        if names:
            found[instance.instance_id] = names[0]
    return found


def _tagged(name: str) -> str:
    has_tag = ":" in name.rpartition("/")[2] or "@" in name
    return name if has_tag else f"{name}:latest"
