"""The shop's pages for a customer's account: orders and addresses."""

import sqlite3
from typing import Any

from flask import Blueprint, abort, render_template, request

from pivot_envs.web.sites.app import back_to, database, found, notify, paged, signed_in, user_id
from pivot_envs.web.sites.database import insert, row, rows

account = Blueprint("account", __name__)

PAGE_SIZE = 10

_ADDRESS_FIELDS = ("label", "street", "postcode", "city")


@account.get("/orders")
@signed_in
def purchases() -> Any:
    """List the customer's orders, the latest first."""
    conditions: list[str] = ["user_id = ?"]
    values: list[Any] = [user_id()]
    if request.args.get("status"):
        conditions.append("status = ?")
        values.append(request.args["status"])
    query = f"SELECT * FROM purchase WHERE {' AND '.join(conditions)} ORDER BY id DESC"
    return render_template("shop/orders.html", page=paged(query, values, PAGE_SIZE))


@account.get("/orders/<int:purchase_id>")
@signed_in
def purchase(purchase_id: int) -> Any:
    """Show an order."""
    return render_template(
        "shop/order.html", order=_own_purchase(purchase_id), lines=_purchase_lines(purchase_id)
    )


@account.post("/orders/<int:purchase_id>/cancel")
@signed_in
def cancel(purchase_id: int) -> Any:
    """Cancel an order that was not sent yet."""
    if _own_purchase(purchase_id)["status"] != "processing":
        notify("Only orders that are still processing can be cancelled.")
    else:
        database().execute("UPDATE purchase SET status = 'cancelled' WHERE id = ?", (purchase_id,))
        for line in _purchase_lines(purchase_id):
            database().execute(
                "UPDATE variant SET stock = stock + ? WHERE id = ?",
                (line["quantity"], line["variant_id"]),
            )
        notify(f"Order {purchase_id} was cancelled.")
    return back_to("shop.account.purchase", purchase_id=purchase_id)


def _own_purchase(purchase_id: int) -> sqlite3.Row:
    query = "SELECT * FROM purchase WHERE id = ? AND user_id = ?"
    return found(row(database(), query, purchase_id, user_id()))


def _purchase_lines(purchase_id: int) -> list[sqlite3.Row]:
    return rows(
        database(),
        "SELECT purchase_line.*, option, option_name, product.name, product.id AS product_id, "
        "quantity * unit_cents AS sum_cents FROM purchase_line "
        "JOIN variant ON variant.id = variant_id JOIN product ON product.id = product_id "
        "WHERE purchase_id = ? ORDER BY purchase_line.id",
        purchase_id,
    )


def own_addresses() -> list[sqlite3.Row]:
    """Return the addresses of who is signed in."""
    query = "SELECT * FROM address WHERE user_id = ? ORDER BY id"
    return rows(database(), query, user_id())


@account.get("/addresses")
@signed_in
def addresses() -> Any:
    """List the customer's addresses."""
    return render_template("shop/addresses.html", addresses=own_addresses())


@account.route("/addresses/new", methods=["GET", "POST"], defaults={"address_id": None})
@account.route("/addresses/<int:address_id>", methods=["GET", "POST"])
@signed_in
def edit_address(address_id: int | None) -> Any:
    """Add or change an address."""
    address: Any = dict.fromkeys(_ADDRESS_FIELDS, "") | {"is_default": 0}
    if address_id is not None:
        address = next((each for each in own_addresses() if each["id"] == address_id), None)
        if address is None:
            abort(404)
    if request.method == "GET":
        return render_template("shop/address.html", address=address, is_new=address_id is None)
    written = {name: request.form.get(name, "").strip()[:80] for name in _ADDRESS_FIELDS}
    if not all(written.values()):
        notify("Not saved: every line of an address must be filled in.")
        return back_to("shop.account.edit_address", address_id=address_id)
    _save_address(address_id, written, bool(request.form.get("is_default")))
    notify(f"The address {written['label']} was saved.")
    return back_to("shop.account.addresses")


def _save_address(address_id: int | None, written: dict[str, str], is_default: bool) -> None:
    if address_id is None:
        address_id = insert(database(), "address", user_id=user_id(), **written)
    else:
        database().execute(
            "UPDATE address SET label = ?, street = ?, postcode = ?, city = ? WHERE id = ?",
            (*written.values(), address_id),
        )
    if is_default:
        database().execute(
            "UPDATE address SET is_default = (id = ?) WHERE user_id = ?", (address_id, user_id())
        )


@account.post("/addresses/<int:address_id>/delete")
@signed_in
def delete_address(address_id: int) -> Any:
    """Remove an address, unless it is the default one."""
    address = found(next((each for each in own_addresses() if each["id"] == address_id), None))
    if address["is_default"]:
        notify("The default address cannot be removed.")
    else:
        database().execute("DELETE FROM address WHERE id = ?", (address_id,))
        notify(f"The address {address['label']} was removed.")
    return back_to("shop.account.addresses")
