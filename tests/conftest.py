import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The same examples every time, so that a run tells what a change has done, and not what was drawn;
# others are drawn with --hypothesis-profile default.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _one_thread_for_the_next() -> Iterator[None]:
    """Take back how many threads a program gave torch: sums in another order have other last bits.

    Otherwise results would depend on which tests a worker happened to run before.
    """
    yield
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
