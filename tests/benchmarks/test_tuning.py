import json
from dataclasses import asdict

import pytest

from benchmarks.arm_options import ARMS
from benchmarks.protocol import PRESETS
from benchmarks.results import CurvePoint
from benchmarks.tuning import (
    TRIALS,
    TUNING_SEED,
    main,
    mean_success,
    read_tried,
    read_tuned,
    trials,
)
from pivot_envs.errors import RecordError


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_has_the_same_number_of_trials(name):
    settings = trials(name, PRESETS["full"])
    assert len(settings) == TRIALS
    assert len({tuple(one.items()) for one in settings}) == TRIALS
    for one in settings:
        assert set(one) <= set(PRESETS["quick"].__dataclass_fields__)


@pytest.mark.parametrize(
    ("name", "groups"),
    [("E2E", "e2e_groups"), ("lazy-progress", "pivot_groups"), ("lazy-outcome", "e2e_groups")],
)
def test_smaller_steps_are_tried_too(name, groups):
    whole, half = trials(name, PRESETS["full"])[:2]
    assert whole[groups] == getattr(PRESETS["full"], groups) == 2 * half[groups]


def test_a_trial_is_judged_by_its_whole_curve_but_for_the_start():
    points = [(0, 1.0), (0, 1.0), (400, 0.5), (800, 0.25), (1_200, 0.0)]
    curve = [CurvePoint(turns, 0.0, success) for turns, success in points]
    assert mean_success(curve) == 0.25


def test_profiling_is_no_point_of_training():
    points = [(0, 1.0), (400, 1.0), (800, 0.25), (1_200, 0.5)]
    curve = [CurvePoint(turns, 0.0, success) for turns, success in points]
    assert mean_success(curve, 400) == 0.375


def test_an_arm_that_spends_no_turns_is_judged_by_its_end():
    assert mean_success([CurvePoint(0, 0.0, 1.0), CurvePoint(0, 9.0, 0.5)]) == 0.5
    assert mean_success([CurvePoint(0, 0.0, 0.75)]) == 0.75


@pytest.mark.parametrize("count", [0, TRIALS + 1])
def test_more_trials_than_there_are_settings_are_refused(count, tmp_path, capsys):
    arguments = ["--arms", "SFT", "--trials", str(count), "--out", str(tmp_path / "run")]
    assert main(arguments) == 1
    assert f"expected 1 to {TRIALS} trials of each arm, got {count}" in capsys.readouterr().out


def test_no_seed_of_a_comparison_is_tuned_on():
    assert all(protocol.seeds <= TUNING_SEED for protocol in PRESETS.values())


def test_the_best_settings_are_read_from_a_search_log(tmp_path):
    best = {"pivot": {"rl_learning_rate": 1e-3, "kl_coef": 0.1}}
    path = tmp_path / "tuning.json"
    path.write_text(json.dumps({"best": best}))
    assert read_tuned(path) == best


@pytest.mark.parametrize(
    "text", ["", "[]", '{"best": {"magic": {}}}', '{"best": {"pivot": {"luck": 1}}}']
)
def test_a_file_that_is_no_search_log_is_refused(tmp_path, text):
    path = tmp_path / "tuning.json"
    path.write_text(text)
    with pytest.raises(RecordError, match="no search log"):
        read_tuned(path)


def test_the_best_trial_of_each_arm_is_read_from_a_search_log(tmp_path):
    def trial(success, **more):
        points = [(0, 0.0, 0.9), (400, 9.0, success)]
        return {"curve": [asdict(CurvePoint(*point)) for point in points], **more}

    # An older log was judged by another rule.
    trials_of = {"SFT": [trial(0.25), trial(0.5, validation_success=0.7)]}
    path = tmp_path / "tuning.json"
    path.write_text(json.dumps({"trials": trials_of, "best": {}}))
    assert read_tried(path) == {"SFT": 0.5}
    path.write_text(json.dumps({"trials": {"SFT": []}}))
    with pytest.raises(RecordError, match="no search log"):
        read_tried(path)
