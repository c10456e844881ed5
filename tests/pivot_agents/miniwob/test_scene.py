"""How scripts decide: draws that depend on seed and task alone, and steps by mouse or by keys."""

import pytest

from pivot_agents.miniwob.scene import Scene, Step, click, fill_in, press, use
from pivot_agents.miniwob.screen import LostError, Screen
from pivot_envs import ToolCall

FORM = '[1] textbox #name\n[2] button "Submit"'


def scene(text: str, key: str = "0 form#1", steps: tuple[Step, ...] = ()) -> Scene:
    return Scene('Enter "Ann".', Screen(text), steps, key)


def test_draws_depend_on_key_and_name_alone() -> None:
    first, again, other = scene(FORM), scene("another page"), scene(FORM, "1 form#1")
    order = list(range(20))
    assert first.shuffled("boxes", order) == again.shuffled("boxes", order)
    assert first.shuffled("boxes", order) != other.shuffled("boxes", order)
    assert first.shuffled("boxes", order) != first.shuffled("links", order)


def test_a_form_is_filled_before_it_is_submitted() -> None:
    for seed in range(20):
        empty = scene(FORM, f"{seed} form#1")
        field, button = empty.screen.items
        assert fill_in(empty, [(field, "Ann")], button) in (
            ToolCall("fill", {"ref": 1, "text": "Ann"}),
            click(field),
        )
        filled = scene(FORM.replace("#name", '#name value="Ann" focused'), f"{seed} form#1")
        field, button = filled.screen.items
        assert fill_in(filled, [(field, "Ann")], button) in (click(button), press("Tab"))


def test_a_key_that_did_nothing_is_followed_by_a_click() -> None:
    text = '[1] button "Submit" focused'
    keys = {use(scene(text, str(seed)), Screen(text).items[0]).name for seed in range(20)}
    assert keys == {"click", "press"}
    after = (Step(Screen(text), press("Enter")),)
    for seed in range(20):
        assert use(scene(text, str(seed), after), Screen(text).items[0]).name == "click"


def test_a_goal_that_reads_otherwise_is_a_lost_error() -> None:
    assert scene(FORM).quoted == ["Ann"]
    with pytest.raises(LostError, match="the goal does not read"):
        scene(FORM).said(r"Choose (\d+)")
