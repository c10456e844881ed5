"""Workers: threads and the sandboxes that they share, for builds and validations."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue

from pivot_envs.sandbox.base import Sandbox
from pivot_envs.sandbox.embedded import EmbeddedSandbox

Progress = Callable[[int, int], None]
"""Called with the number of finished pieces of work and of all."""


def make_build_sandbox() -> Sandbox:
    """Make a sandbox that keeps enough output to find the first failure in it."""
    return EmbeddedSandbox(max_output_bytes=400_000)


@contextmanager
def open_sandboxes(
    count: int, make_sandbox: Callable[[], Sandbox]
) -> Iterator["SimpleQueue[Sandbox]"]:
    """Start sandboxes, and close them in the end."""
    sandboxes: SimpleQueue[Sandbox] = SimpleQueue()
    with ExitStack() as stack:
        for _ in range(count):
            sandboxes.put(stack.enter_context(make_sandbox()))
        yield sandboxes


def run_all(
    work: Callable[[int], None],
    count: int,
    workers: int,
    progress: Progress | None = None,
    *,
    done_before: int = 0,
) -> None:
    """Call ``work`` with every number below ``count`` in threads; the first error ends it all.

    Args:
        work: Does one piece.
        count: Number of pieces.
        workers: Number of threads.
        progress: Told what is finished.
        done_before: Pieces that were finished before, for ``progress``.
    """
    with ThreadPoolExecutor(workers) as executor:
        futures = [executor.submit(work, index) for index in range(count)]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if progress is not None:
                    progress(done_before + done, done_before + count)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
