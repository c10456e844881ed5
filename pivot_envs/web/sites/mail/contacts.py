"""The mailbox's address book."""

from typing import Any

from flask import Blueprint, render_template, request

from pivot_envs.web.sites.app import back_to, database, found, like, notify, paged, signed_in
from pivot_envs.web.sites.database import insert, row

contacts = Blueprint("contacts", __name__)

PAGE_SIZE = 20

_FIELDS = ("name", "address", "phone", "company")


@contacts.get("/contacts")
@signed_in
def listing() -> Any:
    """List the contacts by name."""
    conditions: list[str] = ["1"]
    values: list[Any] = []
    for word in request.args.get("q", "").split()[:8]:
        conditions.append("name || ' ' || address || ' ' || company LIKE ? ESCAPE '!'")
        values.append(like(word))
    query = f"SELECT * FROM contact WHERE {' AND '.join(conditions)} ORDER BY name, id"
    return render_template("mail/contacts.html", page=paged(query, values, PAGE_SIZE))


@contacts.route("/contacts/new", methods=["GET", "POST"], defaults={"contact_id": None})
@contacts.route("/contacts/<int:contact_id>", methods=["GET", "POST"])
@signed_in
def edit(contact_id: int | None) -> Any:
    """Add or change a contact."""
    contact: Any = dict.fromkeys(_FIELDS, "")
    if contact_id is not None:
        contact = found(row(database(), "SELECT * FROM contact WHERE id = ?", contact_id))
    if request.method == "GET":
        return render_template("mail/contact.html", contact=contact, is_new=contact_id is None)
    written = {name: " ".join(request.form.get(name, "").split())[:80] for name in _FIELDS}
    if not written["name"] or "@" not in written["address"]:
        notify("Not saved: a contact has a name and an e-mail address.")
        return back_to("mail.contacts.edit", contact_id=contact_id)
    if contact_id is None:
        insert(database(), "contact", **written)
    else:
        names = ", ".join(f"{name} = ?" for name in written)
        database().execute(
            f"UPDATE contact SET {names} WHERE id = ?", (*written.values(), contact_id)
        )
    notify(f"{written['name']} was saved.")
    return back_to("mail.contacts.listing")


@contacts.post("/contacts/<int:contact_id>/delete")
@signed_in
def delete(contact_id: int) -> Any:
    """Remove a contact."""
    contact = found(row(database(), "SELECT * FROM contact WHERE id = ?", contact_id))
    database().execute("DELETE FROM contact WHERE id = ?", (contact_id,))
    notify(f"{contact['name']} was removed.")
    return back_to("mail.contacts.listing")
