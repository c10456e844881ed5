import json

from benchmarks.arguments import Arguments
from benchmarks.protocol import protocol_for


def test_arms_that_were_not_tuned_take_the_settings_of_another_and_are_named(tmp_path):
    settings = {"SFT": {"sft_learning_rate": 1e-3}, "lazy-progress": {"rl_learning_rate": 2e-3}}
    curve = [{"turns": 0, "wall_s": 1.0, "success": 0.5}]
    log = {"trials": {arm: [{"curve": curve}] for arm in settings}, "best": settings}
    (tmp_path / "tuning.json").write_text(json.dumps(log))
    plan = Arguments(
        arms=("SFT", "pivot", "lazy-progress"),
        tuned=tmp_path / "tuning.json",
        untuned_as="lazy-progress",
    ).plan()
    assert plan.settings("SFT") == settings["SFT"]
    assert plan.settings("pivot") == plan.settings("lazy-progress") == settings["lazy-progress"]
    assert plan.untuned == ("pivot",)


def test_without_a_search_log_no_arm_has_settings_of_its_own():
    plan = Arguments().plan()
    assert plan.settings("pivot") == {}
    assert plan.untuned == ()


def test_numbers_that_are_given_take_the_place_of_the_presets():
    protocol = Arguments(preset="full", domain="web", seeds=2, turns=2000).protocol()
    preset = protocol_for("full", "web")
    assert (protocol.seeds, protocol.turn_budget) == (2, 2000)
    assert protocol.validation_tasks == preset.validation_tasks
