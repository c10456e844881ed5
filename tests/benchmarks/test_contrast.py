import pytest

from benchmarks.contrast import contrast, main
from pivot_agents.evaluation import EvaluationResult

IDS = ("click-link#7", "click-link#8")
NEVER = EvaluationResult(IDS, ((False, False), (False, False)), 0, 9)
HALF = EvaluationResult(IDS, ((True, True), (False, False)), 0, 9)
ALWAYS = EvaluationResult(IDS, ((True, True), (True, True)), 0, 9)
RESULTS = "benchmarks/results/web-arms/results.json"


def scores(**arms):
    return {name: [{"test T=1": one} for one in seeds] for name, seeds in arms.items()}


def test_a_contrast_is_the_mean_of_some_arms_less_that_of_others():
    given = scores(a=[ALWAYS, HALF], b=[ALWAYS, ALWAYS], c=[HALF, NEVER], d=[NEVER, NEVER])
    found = contrast(given, ["a", "b"], ["c", "d"], "test T=1")
    # 7 of 8 pairs of tries less 1 of 8; the second task gains 3/4, the first 1 - 1/4.
    assert found.mean == pytest.approx(7 / 8 - 1 / 8)
    assert (found.low, found.high) == pytest.approx((3 / 4, 3 / 4))
    assert found.per_seed == pytest.approx((1 - 1 / 4, 3 / 4 - 0))


def test_arms_with_other_seeds_have_no_difference_by_seed():
    found = contrast(scores(a=[ALWAYS, HALF], base=[NEVER]), ["a"], ["base"], "test T=1")
    assert found.mean == pytest.approx(3 / 4)
    assert found.per_seed == ()


@pytest.mark.parametrize(
    ("ours", "measurement", "message"),
    [
        (["x"], "test T=1", "no arm 'x' here; there are: a, base"),
        (["a"], "greedy", "a has no measurement 'greedy'; it has: test T=1"),
        ([], "test T=1", "at least one arm"),
    ],
)
def test_what_is_not_there_is_named(ours, measurement, message):
    with pytest.raises(ValueError, match=message):
        contrast(scores(a=[HALF], base=[NEVER]), ours, ["base"], measurement)


def test_the_command_prints_a_contrast_of_a_committed_run(capsys: pytest.CaptureFixture[str]):
    assert main([RESULTS, "--ours", "lazy-progress", "--less", "SFT"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "test T=1: lazy-progress less SFT: +6.6 points (95 % interval +0.4 to +13.7)"
    assert second.count(",") == 1


def test_the_command_names_what_is_not_there(capsys: pytest.CaptureFixture[str]):
    assert main([RESULTS, "--ours", "lazy", "--less", "SFT"]) == 1
    assert "no arm 'lazy' here" in capsys.readouterr().out
