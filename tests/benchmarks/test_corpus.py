from benchmarks.corpus import shows_unseen
from pivot_envs import Message
from pivot_envs.coding.tasks.splits import is_unseen

NAMES = [f"package/module.py::function_{number}" for number in range(50)]
UNSEEN = next(name for name in NAMES if is_unseen("package", name))
KNOWN = next(name for name in NAMES if not is_unseen("package", name))


def episode(*titles: str) -> list[Message]:
    return [Message("tool", f"{title}\n1|def function():") for title in titles]


def test_an_episode_that_views_an_unseen_function_is_recognised():
    assert shows_unseen("package", episode(KNOWN, UNSEEN))
    assert not shows_unseen("package", episode(KNOWN))


def test_only_views_count():
    messages = [Message("user", UNSEEN), Message("tool", "edited package/module.py\n1|pass")]
    assert not shows_unseen("package", messages)
