import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.learnable_templates import (
    Arguments,
    LearnableTemplate,
    candidates,
    measure,
    ranked,
)
from benchmarks.web_domain import UNSEEN
from pivot_envs.errors import BrowserUnavailableError, SourceError


def written(folder: Path, **templates: tuple[float, float]) -> Path:
    found = [
        {"template": name.replace("_", "-"), "success": success, "turns": turns}
        for name, (success, turns) in templates.items()
    ]
    path = folder / "mixed.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


def test_candidates_have_both_outcomes_and_several_turns_and_are_trained_on(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        click_option=(0.5, 2.5),
        click_test=(0.5, 1.0),
        click_menu=(0.0, 4.0),
        enter_text=(1.0, 4.0),
        **{UNSEEN[0].replace("-", "_"): (0.5, 3.0)},
    )
    assert candidates(path) == {"click-option": 2.5}


@pytest.mark.parametrize("text", ["", '[{"template": "a"}]', "[1]"])
def test_another_file_than_that_of_mixed_templates_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mixed.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"benchmarks\.mixed_templates wrote, got .*mixed\.json"):
        candidates(path)


def test_templates_are_ranked_by_what_was_gained() -> None:
    found = [
        LearnableTemplate("b", 0.5, 0.5, 2.0),
        LearnableTemplate("a", 0.5, 0.5, 2.0),
        LearnableTemplate("c", 0.1, 0.4, 2.0),
        LearnableTemplate("d", 0.9, 0.7, 2.0),
    ]
    assert [one.template for one in ranked(found)] == ["c", "a", "b", "d"]


def test_too_few_instances_and_a_file_without_candidates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1 turn, 2 instances and 1 sample"):
        Arguments(instances=1)
    mixed = written(tmp_path, click_test=(0.5, 1.0))
    with pytest.raises(ValueError, match="has several turns and both outcomes"):
        measure(Arguments(mixed=mixed, out=tmp_path / "run"), Console(quiet=True))


@pytest.mark.web
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_template_is_measured_before_and_after_end_to_end_training(tmp_path: Path) -> None:
    mixed = written(tmp_path, click_option=(0.5, 2.5))
    out = tmp_path / "run"
    arguments = Arguments(mixed=mixed, turns=1, instances=2, samples=1, out=out)
    try:
        (found,) = measure(arguments, Console(quiet=True))
    except (BrowserUnavailableError, SourceError) as reason:
        pytest.skip(f"pivot/Web-v0 cannot run here: {reason}")
    assert found.template == "click-option"
    assert 0 <= found.before <= 1
    assert 0 <= found.after <= 1
    assert json.loads((out / "learnable-templates.json").read_text())[0]["after"] == found.after
