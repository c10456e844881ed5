import pytest

from benchmarks.sandbox import COLD, COMMIT, RESTORE, RUN, SNAPSHOT, WARM, ratios
from benchmarks.timing import Figure, measure


def figures(**medians: float) -> list[Figure]:
    names = {"cold": COLD, "warm": WARM, "commit": COMMIT, "run": RUN}
    names |= {"snapshot": SNAPSHOT, "restore": RESTORE}
    return [Figure(names[key], median, 0.0) for key, median in medians.items()]


def test_ratios_are_those_of_the_medians():
    box = {"cold": 500.0, "warm": 50.0, "snapshot": 2.0, "restore": 8.0}
    assert ratios(figures(**box)) == {"cold pytest / warm pytest in the box": 10.0}
    both = ratios(figures(**box, commit=120.0, run=280.0))
    assert both["docker commit and run / snapshot and restore"] == 40.0


def test_the_first_call_and_what_comes_before_each_call_are_not_timed(
    monkeypatch: pytest.MonkeyPatch,
):
    clock = [0.0]
    monkeypatch.setattr("benchmarks.timing.time.perf_counter", lambda: clock[0])
    costs = [9.0, 1.0, 2.0, 4.0]

    def operation(index: int) -> None:
        clock[0] += costs[index]

    def before(index: int) -> None:
        clock[0] += 100.0

    figure = measure("it", operation, 3, before=before)
    assert (figure.median_ms, figure.minimum_ms) == (2000.0, 1000.0)
