"""Tasks of the mailbox."""

import re
import sqlite3
from collections.abc import Mapping
from typing import Any

from pivot_envs.web.sites.database import insert, row, rows
from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.mail.world import DRAFTS, INBOX, SENT, USER_ID
from pivot_envs.web.sites.script import Choose, Click, Fill, Finish, Step, Tick
from pivot_envs.web.sites.task import Outcome, SiteTask, Template
from pivot_envs.web.sites.wording import day

_SENTENCES = (
    "Yes, that suits me well.",
    "Sorry, I cannot make it that day.",
    "Let me check and come back to you tomorrow.",
    "Please go ahead without me.",
    "I agree with all points.",
)


def reply(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Answer somebody's latest message."""
    senders = rows(
        world,
        "SELECT sender_name, max(sent_at) FROM message WHERE folder_id = ? "
        "AND sender_address IN (SELECT address FROM contact) GROUP BY sender_name "
        "ORDER BY sender_name",
        INBOX,
    )
    sender = draw.choice(senders)["sender_name"]
    query = (
        "SELECT * FROM message WHERE folder_id = ? AND sender_name = ? "
        "ORDER BY sent_at DESC, id DESC"
    )
    latest = rows(world, query, INBOX, sender)[0]
    text = draw.choice(_SENTENCES)
    goal = draw.choice(
        (
            f'Reply to the latest message from {sender} in the inbox with exactly: "{text}"',
            f'{sender} waits for an answer to the latest message in your inbox. Reply: "{text}"',
        )
    )
    expected = {"reply_to_id": latest["id"], "recipients": latest["sender_address"], "body": text}
    search = (Fill("Search", sender), Click("Apply filters"), Click(latest["subject"]))
    answer = (Click("Reply"), Fill("Text", text), Click("Send"), Finish())
    kept = (
        *(Click("Reply"), Fill("Text", text), Click("Save as draft")),
        *(Click(f"Re: {latest['subject']}"), Click("Edit draft"), Click("Send"), Finish()),
    )
    return SiteTask(
        goal,
        lambda outcome: _sends(outcome, expected) and outcome.touches_only("message"),
        ((*search, *answer), (*search, *kept)),
        USER_ID,
    )


def sort(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Move everything that came from one sender into a folder."""
    query = (
        "SELECT sender_name FROM message WHERE folder_id = ? GROUP BY sender_name "
        "HAVING count(*) BETWEEN 2 AND 5 ORDER BY sender_name"
    )
    sender = draw.choice(rows(world, query, INBOX))["sender_name"]
    messages = rows(
        world,
        "SELECT * FROM message WHERE folder_id = ? AND sender_name = ? ORDER BY sent_at DESC",
        INBOX,
        sender,
    )
    query = "SELECT * FROM folder WHERE name IN ('Bills', 'Family', 'Travel', 'Archive')"
    folder = draw.choice(rows(world, f"{query} ORDER BY id"))
    goal = draw.choice(
        (
            f"Move all messages from {sender} in the inbox to the folder {folder['name']}.",
            f"Put everything that {sender} sent and that is still in the inbox into "
            f"{folder['name']}.",
        )
    )
    edits = {each["id"]: {"folder_id": folder["id"]} for each in messages}
    search = (Fill("Search", sender), Click("Apply filters"))
    ticks = [Tick(f"Tick {each['subject']}, {each['sent_at']}") for each in messages]
    move = (Choose("With ticked messages", f"Move to {folder['name']}"), Click("Apply to ticked"))
    singly: list[Step] = []
    for each in messages:
        singly += [*search, Click(each["subject"]), Choose("Move to", folder["name"])]
        singly += [Click("Move")]
    return SiteTask(
        goal,
        lambda outcome: outcome.is_only("message", edits=edits) and outcome.touches_only("message"),
        ((*search, *ticks, *move, Finish()), (*singly, Finish())),
        USER_ID,
    )


def forward(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Forward an invoice to somebody whose address is among the contacts."""
    query = (
        "SELECT *, count(*) AS count FROM message WHERE subject LIKE 'Invoice %' "
        "GROUP BY subject HAVING count = 1 ORDER BY id"
    )
    invoice = draw.choice(rows(world, query))
    contact = draw.choice(rows(world, "SELECT * FROM contact ORDER BY id"))
    number = invoice["subject"].removeprefix("Invoice ")
    goal = draw.choice(
        (
            f"Forward invoice {number} to {contact['name']}.",
            f"{contact['name']} asks for the invoice with the number {number}. Forward it.",
        )
    )
    expected = {"forward_of_id": invoice["id"], "recipients": contact["address"]}
    find = (
        *(Click("Search"), Fill("Search", number), Click("Apply filters")),
        Click(invoice["subject"]),
    )
    send = (Click("Forward"), Fill("To", contact["address"]), Click("Send"), Finish())
    look_up = (Click("Contacts"), Fill("Search", contact["name"]), Click("Find contacts"))
    return SiteTask(
        goal,
        lambda outcome: _sends(outcome, expected) and outcome.touches_only("message"),
        ((*look_up, *find, *send), (Click("Contacts"), *find, *send)),
        USER_ID,
    )


def look_up(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Sign in and find a booking's reference."""
    user = row(world, "SELECT * FROM user WHERE id = ?", USER_ID)
    assert user is not None
    query = "SELECT * FROM message WHERE subject LIKE 'Your booking for %' ORDER BY id"
    bookings = rows(world, query)
    names = [(each["sender_name"], each["subject"]) for each in bookings]
    booking = draw.choice([each for each, name in zip(bookings, names, strict=True)
                           if names.count(name) == 1])  # fmt: skip
    found = re.search(r"Booking reference: (\w+)", booking["body"])
    assert found is not None
    date = booking["subject"].removeprefix("Your booking for ")
    goal = draw.choice(
        (
            f"What is the reference of my booking with {booking['sender_name']} for {date}?",
            f"I booked something with {booking['sender_name']} for {date}. Find the booking "
            "reference and answer with it.",
        )
    )
    login = f"Sign in as {user['username']} with the password {user['password']}."
    signed_in = (
        *(Fill("User name", user["username"]), Fill("Password", user["password"])),
        Click("Sign in"),
    )
    words = f"{booking['sender_name']} {booking['subject']}"
    search = (Click("Search"), Fill("Search", words), Click("Apply filters"))
    widely = (Click("Search"), Fill("Search", booking["sender_name"]), Tick("Also in the text"))
    return SiteTask(
        f"{goal} {login}",
        lambda outcome: outcome.answers(found[1]) and outcome.touches_only(),
        (
            (*signed_in, *search, Click(booking["subject"]), Finish(found[1])),
            (*signed_in, *widely, Click("Apply filters"), Click(booking["subject"]),
             Finish(found[1])),
        ),
    )  # fmt: skip


def contact(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Write somebody's new telephone number into the contacts."""
    person = draw.choice(rows(world, "SELECT * FROM contact ORDER BY id"))
    phone = f"0{draw.integer(20, 89)} {draw.integer(100, 999)} {draw.integer(1000, 9999)}"
    goal = draw.choice(
        (
            f"{person['name']} has a new phone number: {phone}. Update the contact.",
            f"Change the phone number of {person['name']} in the contacts to {phone}.",
        )
    )
    save = (Click(f"Edit {person['name']}"), Fill("Phone", phone), Click("Save contact"), Finish())
    return SiteTask(
        goal,
        lambda outcome: (
            outcome.is_only("contact", edits={person["id"]: {"phone": phone}})
            and outcome.touches_only("contact")
        ),
        (
            (Click("Contacts"), *save),
            (Click("Contacts"), Fill("Search", person["name"]), Click("Find contacts"), *save),
        ),
        USER_ID,
    )


def draft(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Finish a draft and send it."""
    person = draw.choice(rows(world, "SELECT * FROM contact ORDER BY id"))
    owner = row(world, "SELECT * FROM user WHERE id = ?", USER_ID)
    now = row(world, "SELECT now FROM clock")
    assert owner is not None
    assert now is not None
    topic = draw.choice(("our lunch", "the tickets", "the photos", "the garden keys"))
    text, subject = draw.choice(_SENTENCES), f"About {topic}"
    draft_id = insert(
        world,
        "message",
        folder_id=DRAFTS,
        sender_name=owner["name"],
        sender_address=owner["address"],
        recipients=person["address"],
        subject="",
        body=text,
        sent_at=now["now"],
        is_read=1,
    )
    goal = draw.choice(
        (
            f'There is a draft to {person["name"]}. Give it the subject "{subject}" and send it.',
            f"Send the draft to {person['name']} that was begun on {day(now['now'])}, with "
            f'"{subject}" as its subject and the text as it is.',
        )
    )
    edits = {draft_id: {"folder_id": SENT, "subject": subject}}
    edit = (Click("Drafts"), Click("(no subject)"), Click("Edit draft"), Fill("Subject", subject))
    again = (Click("Save as draft"), Click(subject), Click("Edit draft"))
    return SiteTask(
        goal,
        lambda outcome: outcome.is_only("message", edits=edits) and outcome.touches_only("message"),
        ((*edit, Click("Send"), Finish()), (*edit, *again, Click("Send"), Finish())),
        USER_ID,
    )


def _sends(outcome: Outcome, expected: Mapping[str, Any]) -> bool:
    """Tell whether one message was sent, as expected, and nothing else done but reading."""
    sent = outcome.added("message")
    return (
        outcome.is_only("message", added=1)
        and sent[0]["folder_id"] == SENT
        and expected.items() <= sent[0].items()
    )


TEMPLATES: Mapping[str, Template] = {
    "reply": reply,
    "sort": sort,
    "forward": forward,
    "look-up": look_up,
    "contact": contact,
    "draft": draft,
}
