"""What is almost right is worth nothing, and what is right is worth 1 in whatever way."""

from collections.abc import Callable, Sequence

import pytest

from pivot_envs.web.env import WebEnv
from pivot_envs.web.sites.database import open_database, rows, value
from pivot_envs.web.sites.script import Choose, Click, Fill, Finish, Script, Step, Tick, Visit
from pivot_envs.web.sites.suite import TEMPLATES, make_instance

Perform = Callable[[str, Sequence[Step]], float]


def solution(task_id: str, way: int = 0) -> list[Step]:
    """Return a right way to do a task, without its end."""
    template, _, seed = task_id.partition("#")
    return list(make_instance(template, int(seed)).task.solutions[way][:-1])


def changed(steps: Sequence[Step], name: str, new: Step | None) -> list[Step]:
    """Return the steps with the one of that name replaced, or left out."""
    assert name in [getattr(step, "name", "") for step in steps]
    replaced = [new if getattr(step, "name", "") == name else step for step in steps]
    return [step for step in replaced if step is not None]


def the(steps: Sequence[Step], kind: type, name: str) -> Step:
    """Return the step of a kind and a name."""
    return next(step for step in steps if isinstance(step, kind) and step.name == name)


def first_seed(template: str, words: str) -> int:
    """Return the first seed whose goal has these words."""
    return next(seed for seed in range(200) if words in make_instance(template, seed).task.goal)


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_way_of_a_task_is_worth_1_and_nothing_done_is_worth_0(
    template: str, perform: Perform
) -> None:
    for way in make_instance(template, 1).task.solutions:
        assert perform(f"{template}#1", way) == 1.0
    assert perform(f"{template}#1", [Finish()]) == 0.0
    assert perform(f"{template}#1", [Finish("done")]) == 0.0


def test_an_order_of_another_quantity_is_worth_0(perform: Perform) -> None:
    steps = solution("shop.buy#1")
    quantity = the(steps, Fill, "Quantity").text
    wrong = Fill("Quantity", str(int(quantity) + 1))
    assert perform("shop.buy#1", [*changed(steps, "Quantity", wrong), Finish()]) == 0.0


def test_an_order_placed_twice_is_worth_0(perform: Perform) -> None:
    steps = solution("shop.buy#1")
    again = [Visit("/"), *steps]
    assert perform("shop.buy#1", [*steps, *again, Finish()]) == 0.0


def test_an_order_to_another_address_or_by_another_delivery_is_worth_0(perform: Perform) -> None:
    task_id = f"shop.buy#{first_seed('shop.buy', 'Office')}"
    steps = changed(solution(task_id), "Deliver to", None)
    assert perform(task_id, [*steps, Finish()]) == 0.0
    task_id = f"shop.buy#{first_seed('shop.buy', 'express')}"
    steps = changed(solution(task_id), "Express ($12.90)", None)
    assert perform(task_id, [*steps, Finish()]) == 0.0


def test_an_order_that_was_placed_and_cancelled_is_worth_0(perform: Perform) -> None:
    steps = [*solution("shop.buy#1"), Click("Cancel this order")]
    assert perform("shop.buy#1", [*steps, Finish()]) == 0.0


def test_something_left_in_the_cart_is_worth_0(perform: Perform) -> None:
    rest = [Visit("/products/3"), Click("Add to cart")]
    assert perform("shop.buy#1", [*solution("shop.buy#1"), *rest, Finish()]) == 0.0


def test_cancelling_another_order_too_is_worth_0(perform: Perform) -> None:
    world = open_database(make_instance("shop.cancel", 2).content)
    wanted = next(step for step in solution("shop.cancel#2", 1) if isinstance(step, Visit))
    query = "SELECT id FROM purchase WHERE user_id = 2 AND status = 'processing'"
    others = [f"/orders/{number}" for (number,) in rows(world, query)]
    other = next(path for path in others if path != wanted.path)
    more = [Visit(other), Click("Cancel this order")]
    assert perform("shop.cancel#2", [*solution("shop.cancel#2"), *more, Finish()]) == 0.0


def test_a_cart_that_was_tidied_and_ordered_is_worth_0(perform: Perform) -> None:
    order = [Click("Go to checkout"), Click("Place order")]
    assert perform("shop.tidy-cart#1", [*solution("shop.tidy-cart#1"), *order, Finish()]) == 0.0


def test_a_wrong_answer_or_a_right_one_after_a_purchase_is_worth_0(perform: Perform) -> None:
    steps = solution("shop.cheapest#1")
    right = make_instance("shop.cheapest", 1).task.solutions[0][-1]
    assert perform("shop.cheapest#1", [*steps, Finish("Alderly Kettle")]) == 0.0
    assert perform("shop.cheapest#1", [*steps, Finish()]) == 0.0
    bought = [Visit("/products/3"), Click("Add to cart"), Visit("/cart")]
    assert perform("shop.cheapest#1", [*bought, right]) == 0.0


def test_answers_are_compared_without_case_spaces_and_end_marks(perform: Perform) -> None:
    right = make_instance("shop.cheapest", 1).task.solutions[0][-1]
    assert perform("shop.cheapest#1", [Finish(f"  {right.answer.upper()}.\n")]) == 1.0


def test_an_address_saved_twice_or_with_another_default_is_worth_0(perform: Perform) -> None:
    task_id = f"shop.new-address#{first_seed('shop.new-address', 'Make it the default')}"
    steps = solution(task_id)
    assert perform(task_id, [*steps, *steps, Finish()]) == 0.0
    steps = changed(steps, "Use as default address", None)
    assert perform(task_id, [*steps, Finish()]) == 0.0


def test_a_stock_set_to_what_arrived_is_worth_0(perform: Perform) -> None:
    steps = solution("shop.restock#1")
    wrong = Fill("In stock", "7")
    assert perform("shop.restock#1", [*changed(steps, "In stock", wrong), Finish()]) == 0.0


def test_touching_another_ticket_too_is_worth_0(perform: Perform) -> None:
    other = [Visit("/PAY/105"), Choose("Priority", "low"), Click("Save changes")]
    more = [Visit("/PAY/106"), Choose("Priority", "urgent"), Click("Save changes")]
    steps = solution("tracker.triage#1")
    assert perform("tracker.triage#1", [*other, *more, Click("Projects"), *steps, Finish()]) == 0.0


def test_a_label_forgotten_or_a_priority_forgotten_is_worth_0(perform: Perform) -> None:
    steps = solution("tracker.triage#1")
    label = next(step for step in steps if isinstance(step, Tick))
    assert perform("tracker.triage#1", [*changed(steps, label.name, None), Finish()]) == 0.0
    assert perform("tracker.triage#1", [*changed(steps, "Priority", None), Finish()]) == 0.0


def test_a_comment_written_twice_or_another_resolution_is_worth_0(perform: Perform) -> None:
    steps = solution("tracker.duplicate#1")
    again = [the(steps, Fill, "New comment"), Click("Add comment")]
    assert perform("tracker.duplicate#1", [*steps, *again, Finish()]) == 0.0
    steps = changed(steps, "Resolution", Choose("Resolution", "fixed"))
    assert perform("tracker.duplicate#1", [*steps, Finish()]) == 0.0


def test_a_ticket_reported_twice_is_worth_0(perform: Perform) -> None:
    steps = solution("tracker.report#1", 1)
    assert perform("tracker.report#1", [*steps, *steps, Finish()]) == 0.0


def test_one_ticket_kept_back_or_a_closed_one_handed_over_is_worth_0(perform: Perform) -> None:
    steps = solution("tracker.hand-over#1")
    tick = next(step for step in steps if isinstance(step, Tick))
    assert perform("tracker.hand-over#1", [*changed(steps, tick.name, None), Finish()]) == 0.0


def test_a_count_that_is_one_off_is_worth_0(perform: Perform) -> None:
    right = make_instance("tracker.count", 1).task.solutions[0][-1]
    assert perform("tracker.count#1", [Finish(str(int(right.answer) + 1))]) == 0.0


def test_another_member_with_that_role_too_is_worth_0(perform: Perform) -> None:
    steps = solution("tracker.role#1")
    save = steps[-1].name
    world = open_database(make_instance("tracker.role", 1).content)
    names = [name for (name,) in rows(world, "SELECT name FROM user") if name not in save]
    project = next(s.name for s in steps if isinstance(s, Click) and s.name != "Sign in")
    query = (
        "SELECT user.name FROM member JOIN user ON user.id = user_id JOIN project "
        "ON project.id = project_id WHERE project.name = ? AND user.id != 1 AND role != 'viewer'"
    )
    other = next(name for (name,) in rows(world, query, project) if name in names)
    more = [Choose(f"Role of {other}", "viewer"), Click(f"Save role of {other}")]
    assert perform("tracker.role#1", [*steps, *more, Finish()]) == 0.0


def test_a_reply_sent_twice_or_with_other_words_is_worth_0(perform: Perform) -> None:
    steps = solution("mail.reply#1")
    assert perform("mail.reply#1", [*steps, *steps, Finish()]) == 0.0
    steps = changed(steps, "Text", Fill("Text", "Yes."))
    assert perform("mail.reply#1", [*steps, Finish()]) == 0.0


def test_a_new_message_instead_of_a_reply_is_worth_0(perform: Perform) -> None:
    steps = solution("mail.reply#1")
    world = open_database(make_instance("mail.reply", 1).content)
    address = value(
        world,
        "SELECT sender_address FROM message WHERE sender_name = ?",
        the(steps, Fill, "Search").text,
    )
    new = [Visit("/write"), Fill("To", address), the(steps, Fill, "Text"), Click("Send")]
    assert perform("mail.reply#1", [*new, Finish()]) == 0.0


def test_a_message_left_behind_or_a_wrong_folder_is_worth_0(perform: Perform) -> None:
    steps = solution("mail.sort#1")
    tick = next(step for step in steps if isinstance(step, Tick))
    assert perform("mail.sort#1", [*changed(steps, tick.name, None), Finish()]) == 0.0
    wrong = Choose("With ticked messages", "Move to Trash")
    assert perform("mail.sort#1", [*changed(steps, wrong.name, wrong), Finish()]) == 0.0


def test_an_invoice_forwarded_to_somebody_else_is_worth_0(perform: Perform) -> None:
    steps = solution("mail.forward#1")
    wrong = Fill("To", "somebody@mosaicfoods.example")
    assert perform("mail.forward#1", [*changed(steps, "To", wrong), Finish()]) == 0.0


def test_a_right_reference_after_deleting_the_message_is_worth_0(perform: Perform) -> None:
    right = make_instance("mail.look-up", 1).task.solutions[0][-1]
    steps = [*solution("mail.look-up#1"), Click("Delete")]
    assert perform("mail.look-up#1", [*steps, right]) == 0.0


def test_a_new_number_for_another_contact_is_worth_0(perform: Perform) -> None:
    steps = solution("mail.contact#1", 0)
    world = open_database(make_instance("mail.contact", 1).content)
    edit = next(s.name for s in steps if isinstance(s, Click) and s.name.startswith("Edit "))
    query = "SELECT name FROM contact WHERE 'Edit ' || name != ?"
    other = value(world, query, edit)
    assert (
        perform("mail.contact#1", [*changed(steps, edit, Click(f"Edit {other}")), Finish()]) == 0.0
    )


def test_looking_around_costs_nothing(perform: Perform) -> None:
    unread = value(
        open_database(make_instance("mail.contact", 1).content),
        "SELECT id FROM message WHERE is_read = 0",
    )
    look = [Visit(f"/message/{unread}"), Click("Mark as unread"), Visit(f"/message/{unread}")]
    assert perform("mail.contact#1", [*look, *solution("mail.contact#1"), Finish()]) == 1.0


def test_a_draft_sent_without_its_subject_is_worth_0(perform: Perform) -> None:
    steps = changed(solution("mail.draft#1"), "Subject", None)
    assert perform("mail.draft#1", [*steps, Finish()]) == 0.0


def test_a_task_that_ran_out_of_turns_is_judged_as_it_stands(
    make_env: Callable[..., WebEnv],
) -> None:
    steps = solution("mail.contact#1")
    env = make_env(suite="sites", max_turns=len(steps))
    script = Script(steps, "http://mail.sites.test")
    observation, _ = env.reset(options={"task_id": "mail.contact#1"})
    rewards = []
    for _ in steps:
        observation, reward, terminated, truncated, _ = env.step(
            script.next_call(observation).as_text()
        )
        rewards.append(reward)
    assert rewards == [0.0] * (len(steps) - 1) + [1.0]
    assert (terminated, truncated) == (False, True)
