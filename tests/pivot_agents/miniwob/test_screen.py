"""Observations of web pages read back."""

import pytest

from pivot_agents.miniwob.screen import LostError, Screen

PAGE = r"""Username [1] textbox #username.wide value="a \"b\" checked" focused
Password [2] textbox #password
[3] combobox "Size" value="" options:  | small | very large [4] button "Log in" disabled
[5] checkbox "XL" checked
[6] span .like.active
[7] text "8" fill=black at 50,70 size 6x11 [8] rect .shape fill=#0000ff at 10,20 size 17x18
circle fill=none at 4,5 size 6x7"""


def test_items_have_role_name_value_states_and_marks() -> None:
    screen = Screen(PAGE)
    name, password, size, button, box, like, *_ = screen.items
    assert (name.role, name.before, name.value) == ("textbox", "Username", 'a "b" checked')
    assert name.states == {"focused"}
    assert name.marks == {"#username", ".wide"}
    assert (password.before, password.value) == ("Password", "")
    assert size.options == ("", "small", "very large")
    assert button.states == {"disabled"}
    assert box.name == "XL"
    assert box.states == {"checked"}
    assert ".active" in like.marks
    assert screen.focused == name


def test_shapes_are_read_whether_they_can_be_used_or_not() -> None:
    digit, square, ring = Screen(PAGE).shapes
    assert (digit.ref, digit.kind, digit.text, digit.colour) == (7, "text", "8", "black")
    assert (square.ref, square.x, square.y, square.width, square.height) == (8, 10, 20, 17, 18)
    assert (ring.ref, ring.kind, ring.colour) == (0, "circle", "none")


def test_names_are_found_in_any_case_if_none_is_exact() -> None:
    screen = Screen('[1] button "submit"\n[2] button "Cancel"\n[3] button "cancel"')
    assert screen.named("Submit").ref == 1
    assert screen.named("cancel").ref == 3


def test_what_is_not_there_is_a_lost_error() -> None:
    with pytest.raises(LostError, match="no button"):
        Screen("nothing to see").first("button")
