"""The shop's pages for its staff: stock and shipping."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from flask import Blueprint, abort, g, render_template, request

from pivot_envs.web.sites.app import (
    back_to,
    database,
    found,
    like,
    notify,
    paged,
    signed_in,
    whole_number,
)
from pivot_envs.web.sites.database import row

P = ParamSpec("P")

PAGE_SIZE = 15

staff = Blueprint("staff", __name__, url_prefix="/staff")

_STOCK = """
SELECT variant.*, product.name, option_name FROM variant
JOIN product ON product.id = product_id
"""


def _for_staff(view: Callable[P, Any]) -> Callable[P, Any]:
    @wraps(view)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
        if g.user["role"] != "staff":
            abort(403)
        return view(*args, **kwargs)

    return signed_in(wrapper)


@staff.get("/stock")
@_for_staff
def stock() -> Any:
    """List the stock of all variants."""
    conditions: list[str] = ["1"]
    values: list[Any] = []
    for word in request.args.get("q", "").split()[:8]:
        conditions.append("product.name || ' ' || option LIKE ? ESCAPE '!'")
        values.append(like(word))
    if request.args.get("sold_out"):
        conditions.append("stock = 0")
    query = f"{_STOCK} WHERE {' AND '.join(conditions)} ORDER BY product.name, variant.id"
    return render_template("shop/stock.html", page=paged(query, values, PAGE_SIZE))


@staff.route("/stock/<int:variant_id>", methods=["GET", "POST"])
@_for_staff
def edit_stock(variant_id: int) -> Any:
    """Set how many of a variant are in stock."""
    variant = found(row(database(), f"{_STOCK} WHERE variant.id = ?", variant_id))
    if request.method == "GET":
        return render_template("shop/stock_edit.html", variant=variant)
    amount = whole_number("stock", 0, 9999)
    if amount is None:
        notify("Not saved: the stock must be a number from 0 to 9999.")
        return back_to("shop.staff.edit_stock", variant_id=variant_id)
    database().execute("UPDATE variant SET stock = ? WHERE id = ?", (amount, variant_id))
    notify(f"{variant['name']}, {variant['option']}: {amount} in stock.")
    return back_to("shop.staff.stock")


@staff.get("/orders")
@_for_staff
def orders() -> Any:
    """List everybody's orders."""
    conditions: list[str] = ["1"]
    values: list[Any] = []
    if request.args.get("status"):
        conditions.append("status = ?")
        values.append(request.args["status"])
    if request.args.get("q"):
        conditions.append("user.name || ' ' || purchase.id LIKE ? ESCAPE '!'")
        values.append(like(request.args["q"].strip()))
    query = (
        "SELECT purchase.*, user.name AS customer FROM purchase JOIN user ON user.id = user_id "
        f"WHERE {' AND '.join(conditions)} ORDER BY purchase.id DESC"
    )
    return render_template("shop/staff_orders.html", page=paged(query, values, PAGE_SIZE))


@staff.post("/orders/<int:purchase_id>/ship")
@_for_staff
def ship(purchase_id: int) -> Any:
    """Mark an order as sent."""
    order = found(row(database(), "SELECT * FROM purchase WHERE id = ?", purchase_id))
    if order["status"] != "processing":
        notify(f"Order {purchase_id} is {order['status']} and cannot be shipped.")
    else:
        database().execute("UPDATE purchase SET status = 'shipped' WHERE id = ?", (purchase_id,))
        notify(f"Order {purchase_id} was marked as shipped.")
    return back_to("shop.staff.orders")
