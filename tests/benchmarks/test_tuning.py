import json

import pytest

from benchmarks.arm_options import ARMS
from benchmarks.protocol import PRESETS
from benchmarks.tuning import TRIALS, TUNING_SEED, read_tuned, trials
from pivot_envs.errors import RecordError


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_has_the_same_number_of_trials(name):
    settings = trials(name)
    assert len(settings) == TRIALS
    assert len({tuple(one.items()) for one in settings}) == TRIALS
    for one in settings:
        assert set(one) <= set(PRESETS["quick"].__dataclass_fields__)


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
