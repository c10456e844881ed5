"""The mailbox's pages: folders, messages, writing and sending."""

import re
import sqlite3
from typing import Any

from flask import Blueprint, abort, g, render_template, request

from pivot_envs.web.sites.app import (
    back_to,
    database,
    found,
    like,
    notify,
    now,
    paged,
    signed_in,
    whole_number,
)
from pivot_envs.web.sites.database import insert, row, rows
from pivot_envs.web.sites.mail.contacts import contacts
from pivot_envs.web.sites.mail.world import DRAFTS, INBOX, SENT, TRASH

views = Blueprint("mail", __name__)
views.register_blueprint(contacts)

PAGE_SIZE = 15

_ADDRESS = re.compile(r"[^\s@,;]+@[^\s@,;]+\.[a-z]+")
_FLAGS = {
    "read": "is_read = 1",
    "unread": "is_read = 0",
    "star": "is_starred = 1",
    "unstar": "is_starred = 0",
}


@views.app_context_processor
def folder_list() -> dict[str, Any]:
    """Tell every page which folders there are, and how many unread messages they hold."""
    return {
        "folders": rows(
            database(),
            "SELECT folder.*, (SELECT count(*) FROM message WHERE folder_id = folder.id "
            "AND is_read = 0) AS unread FROM folder ORDER BY id",
        )
    }


@views.get("/")
@signed_in
def home() -> Any:
    """Show the inbox."""
    return back_to("mail.folder", folder_id=INBOX)


@views.get("/folder/<int:folder_id>")
@signed_in
def folder(folder_id: int) -> Any:
    """List the messages of a folder, the latest first."""
    item = found(row(database(), "SELECT * FROM folder WHERE id = ?", folder_id))
    conditions, values = _filters()
    query = (
        f"SELECT * FROM message WHERE folder_id = ? AND {conditions} ORDER BY sent_at DESC, id DESC"
    )
    page = paged(query, [folder_id, *values], PAGE_SIZE)
    return render_template("mail/folder.html", folder=item, page=page)


@views.get("/search")
@signed_in
def search() -> Any:
    """Search the messages of all folders."""
    conditions, values = _filters()
    query = (
        "SELECT message.*, folder.name AS folder FROM message JOIN folder ON folder.id = folder_id "
        f"WHERE {conditions} ORDER BY sent_at DESC, message.id DESC"
    )
    return render_template("mail/search.html", page=paged(query, values, PAGE_SIZE))


def _filters() -> tuple[str, list[Any]]:
    """Return the condition that the address asks for, and its values."""
    asked = request.args
    conditions: list[str] = ["1"]
    values: list[Any] = []
    text = "sender_name || ' ' || sender_address || ' ' || recipients || ' ' || subject"
    if asked.get("bodies"):
        text += " || ' ' || body"
    for word in asked.get("q", "").split()[:8]:
        conditions.append(f"{text} LIKE ? ESCAPE '!'")
        values.append(like(word))
    if asked.get("unread"):
        conditions.append("is_read = 0")
    if asked.get("starred"):
        conditions.append("is_starred = 1")
    return " AND ".join(conditions), values


@views.post("/folder/<int:folder_id>")
@signed_in
def change_many(folder_id: int) -> Any:
    """Move or mark all ticked messages."""
    chosen = [int(each) for each in request.form.getlist("message") if each.isdigit()][:100]
    action = request.form.get("action", "")
    if not chosen or not _apply(action, folder_id, chosen):
        notify("Nothing was changed: tick messages and choose what to do with them.")
    else:
        notify(f"Done for {len(chosen)} message{'' if len(chosen) == 1 else 's'}.")
    return back_to("mail.folder", folder_id=folder_id, **request.args)


def _apply(action: str, folder_id: int, chosen: list[int]) -> bool:
    """Do what was chosen with messages of a folder; tell whether there is such an action."""
    change = _FLAGS.get(action)
    if change is None:
        target = action.removeprefix("move-")
        known = {str(each["id"]) for each in rows(database(), "SELECT id FROM folder")}
        if target not in known:
            return False
        change = f"folder_id = {int(target)}"
    marks = ", ".join("?" * len(chosen))
    database().execute(
        f"UPDATE message SET {change} WHERE folder_id = ? AND id IN ({marks})",
        (folder_id, *chosen),
    )
    return True


@views.route("/folders/new", methods=["GET", "POST"])
@signed_in
def new_folder() -> Any:
    """Make a folder."""
    name = " ".join(request.form.get("name", "").split())[:40]
    error = ""
    if request.method == "POST":
        held = row(database(), "SELECT * FROM folder WHERE lower(name) = lower(?)", name)
        if name and held is None:
            folder_id = insert(database(), "folder", name=name)
            notify(f"The folder {name} was made.")
            return back_to("mail.folder", folder_id=folder_id)
        error = "A folder needs a name that no other folder has."
    return render_template("mail/new_folder.html", name=name, error=error)


@views.get("/message/<int:message_id>")
@signed_in
def message(message_id: int) -> Any:
    """Show a message, which is read then."""
    item = _message(message_id)
    database().execute("UPDATE message SET is_read = 1 WHERE id = ?", (message_id,))
    query = "SELECT * FROM message WHERE id = ?"
    origin = row(database(), query, item["forward_of_id"] or item["reply_to_id"])
    return render_template("mail/message.html", message=item, origin=origin)


@views.post("/message/<int:message_id>")
@signed_in
def change_message(message_id: int) -> Any:
    """Star, move or delete a message."""
    item = _message(message_id)
    action = request.form.get("action", "")
    if action == "delete" and item["folder_id"] == TRASH:
        database().execute("DELETE FROM message WHERE id = ?", (message_id,))
        notify("The message was deleted for good.")
        return back_to("mail.folder", folder_id=TRASH)
    if action == "delete":
        action = f"move-{TRASH}"
    if not _apply(action, item["folder_id"], [message_id]):
        abort(400)
    if action.startswith("move-") or action == "unread":
        notify("The message was moved." if action != "unread" else "The message is unread again.")
        return back_to("mail.folder", folder_id=item["folder_id"])
    notify("The message was changed.")
    return back_to("mail.message", message_id=message_id)


@views.get("/write")
@signed_in
def write() -> Any:
    """Write a message: a new one, a reply, a forwarded one, or one from the drafts."""
    draft = {"id": "", "recipients": request.args.get("to", ""), "subject": "", "body": ""}
    reply_to, forward_of = _asked_message("reply"), _asked_message("forward")
    if request.args.get("draft"):
        held = _asked_message("draft")
        if held is None or held["folder_id"] != DRAFTS:
            abort(404)
        draft = dict(held)
        reply_to = row(database(), "SELECT * FROM message WHERE id = ?", held["reply_to_id"])
        forward_of = row(database(), "SELECT * FROM message WHERE id = ?", held["forward_of_id"])
    elif reply_to is not None:
        draft["recipients"] = reply_to["sender_address"]
        draft["subject"] = f"Re: {reply_to['subject'].removeprefix('Re: ')}"
    elif forward_of is not None:
        draft["subject"] = f"Fwd: {forward_of['subject'].removeprefix('Fwd: ')}"
    return render_template("mail/write.html", draft=draft, reply_to=reply_to, forward_of=forward_of)


@views.post("/write")
@signed_in
def send() -> Any:
    """Send the message, or keep it as a draft."""
    form = request.form
    recipients = [each for each in re.split(r"[\s,;]+", form.get("recipients", "").strip()) if each]
    columns = {
        "recipients": ", ".join(recipients),
        "subject": " ".join(form.get("subject", "").split())[:120],
        "body": form.get("body", "").replace("\r\n", "\n").strip()[:4000],
        "reply_to_id": whole_number("reply", 1, 10**9),
        "forward_of_id": whole_number("forward", 1, 10**9),
    }
    draft_id = whole_number("draft", 1, 10**9)
    if "keep" in form:
        _store(draft_id, folder_id=DRAFTS, **columns)
        notify("The draft was saved.")
        return back_to("mail.folder", folder_id=DRAFTS)
    wrong = [each for each in recipients if not _ADDRESS.fullmatch(each)]
    if wrong or not recipients:
        draft_id = _store(draft_id, folder_id=DRAFTS, **columns)
        what = f"{wrong[0]} is no e-mail address" if wrong else "nobody is named to get it"
        notify(f"Not sent but kept as a draft: {what}.")
        return back_to("mail.write", draft=draft_id)
    _store(draft_id, folder_id=SENT, **columns)
    notify("The message was sent.")
    return back_to("mail.folder", folder_id=INBOX)


def _store(draft_id: int | None, **columns: Any) -> int:
    """Write a message of the owner's, over the draft that it was; return its id."""
    if draft_id is not None:
        held = found(row(database(), "SELECT * FROM message WHERE id = ?", draft_id))
        if held["folder_id"] != DRAFTS:
            abort(400)
        names = ", ".join(f"{name} = ?" for name in (*columns, "sent_at"))
        values = (*columns.values(), now(), draft_id)
        database().execute(f"UPDATE message SET {names} WHERE id = ?", values)
        return draft_id
    return insert(
        database(),
        "message",
        sender_name=g.user["name"],
        sender_address=g.user["address"],
        sent_at=now(),
        is_read=1,
        **columns,
    )


def _message(message_id: int) -> sqlite3.Row:
    return found(
        row(
            database(),
            "SELECT message.*, folder.name AS folder FROM message "
            "JOIN folder ON folder.id = folder_id WHERE message.id = ?",
            message_id,
        )
    )


def _asked_message(name: str) -> sqlite3.Row | None:
    number = request.args.get(name, "")
    if not number:
        return None
    if not number.isdigit() or len(number) > 9:
        abort(404)
    return _message(int(number))
