"""The shop's pages for customers: catalogue, cart, checkout, orders and addresses."""

import sqlite3
from typing import Any

from flask import Blueprint, render_template, request

from pivot_envs.web.sites.app import (
    back_to,
    database,
    found,
    like,
    notify,
    now,
    paged,
    signed_in,
    user_id,
    whole_number,
)
from pivot_envs.web.sites.database import insert, row, rows, value
from pivot_envs.web.sites.shop.account import account, own_addresses
from pivot_envs.web.sites.shop.staff import staff
from pivot_envs.web.sites.shop.world import DELIVERIES, ship_to

views = Blueprint("shop", __name__)
views.register_blueprint(account)
views.register_blueprint(staff)

PAGE_SIZE = 10
MAX_QUANTITY = 20

_SORTS = {
    "name": "product.name",
    "cheapest": "price_cents, product.name",
    "dearest": "price_cents DESC, product.name",
    "rating": "stars DESC, product.name",
}

_PRODUCTS = """
SELECT product.*, category.name AS category,
    (SELECT round(avg(stars), 1) FROM review WHERE product_id = product.id) AS stars,
    (SELECT count(*) FROM review WHERE product_id = product.id) AS reviews,
    (SELECT sum(stock) FROM variant WHERE product_id = product.id) AS stock
FROM product JOIN category ON category.id = category_id
"""

_CART = """
SELECT cart_line.id, quantity, variant_id, option, option_name, stock, product.name, price_cents,
    product.id AS product_id, quantity * price_cents AS sum_cents
FROM cart_line JOIN variant ON variant.id = variant_id JOIN product ON product.id = product_id
WHERE user_id = ? ORDER BY cart_line.id
"""


@views.app_context_processor
def cart_size() -> dict[str, Any]:
    """Tell every page how many things are in the cart."""
    query = "SELECT coalesce(sum(quantity), 0) FROM cart_line WHERE user_id = ?"
    return {"cart_size": value(database(), query, user_id())}


@views.get("/")
def home() -> Any:
    """Show the categories and the best liked products."""
    categories = rows(
        database(),
        "SELECT category.*, count(*) AS products FROM category "
        "JOIN product ON category_id = category.id GROUP BY category.id ORDER BY category.id",
    )
    best = rows(database(), f"{_PRODUCTS} ORDER BY stars DESC, reviews DESC, product.id LIMIT 6")
    return render_template("shop/home.html", categories=categories, best=best)


@views.get("/products")
def products() -> Any:
    """Search, filter and sort the catalogue."""
    conditions, values = _filters()
    order = _SORTS.get(request.args.get("sort", ""), _SORTS["name"])
    query = f"{_PRODUCTS} WHERE {' AND '.join(conditions)} ORDER BY {order}"
    return render_template(
        "shop/products.html",
        page=paged(query, values, PAGE_SIZE),
        categories=rows(database(), "SELECT * FROM category ORDER BY id"),
        sorts=_SORTS,
    )


def _filters() -> tuple[list[str], list[Any]]:
    """Return the conditions that the address asks for, and their values."""
    asked = request.args
    conditions: list[str] = ["1"]
    values: list[Any] = []
    for word in asked.get("q", "").split()[:8]:
        conditions.append("product.name || ' ' || category.name LIKE ? ESCAPE '!'")
        values.append(like(word))
    if asked.get("category", "").isdigit():
        conditions.append("category_id = ?")
        values.append(int(asked["category"][:9]))
    if asked.get("max_price", "").isdigit():
        conditions.append("price_cents <= ?")
        values.append(int(asked["max_price"][:9]) * 100)
    if asked.get("min_stars", "").isdigit():
        conditions.append("stars >= ?")
        values.append(int(asked["min_stars"][:9]))
    if asked.get("in_stock"):
        conditions.append("stock > 0")
    return conditions, values


@views.get("/products/<int:product_id>")
def product(product_id: int) -> Any:
    """Show a product with its options and reviews."""
    item = found(row(database(), f"{_PRODUCTS} WHERE product.id = ?", product_id))
    return render_template(
        "shop/product.html",
        product=item,
        variants=rows(
            database(), "SELECT * FROM variant WHERE product_id = ? ORDER BY id", product_id
        ),
        reviews=rows(
            database(), "SELECT * FROM review WHERE product_id = ? ORDER BY id", product_id
        ),
    )


@views.post("/cart")
@signed_in
def add_to_cart() -> Any:
    """Put a product into the cart."""
    variant_id = whole_number("variant", 1, 10**9)
    variant = found(row(database(), "SELECT * FROM variant WHERE id = ?", variant_id))
    quantity = whole_number("quantity", 1, MAX_QUANTITY)
    held = row(
        database(),
        "SELECT * FROM cart_line WHERE user_id = ? AND variant_id = ?",
        user_id(),
        variant_id,
    )
    wanted = (quantity or 0) + (held["quantity"] if held else 0)
    if quantity is None:
        notify(f"Choose a quantity from 1 to {MAX_QUANTITY}.")
    elif wanted > min(variant["stock"], MAX_QUANTITY):
        notify(f"Not added: only {min(variant['stock'], MAX_QUANTITY)} can be ordered.")
    else:
        _put(held, variant["id"], wanted)
        notify("Added to your cart.")
        return back_to("shop.cart")
    return back_to("shop.product", product_id=variant["product_id"])


def _put(held: sqlite3.Row | None, variant_id: int, quantity: int) -> None:
    if held is None:
        insert(database(), "cart_line", user_id=user_id(), variant_id=variant_id, quantity=quantity)
    else:
        database().execute("UPDATE cart_line SET quantity = ? WHERE id = ?", (quantity, held["id"]))


@views.get("/cart")
@signed_in
def cart() -> Any:
    """Show the cart."""
    return render_template("shop/cart.html", lines=rows(database(), _CART, user_id()))


@views.post("/cart/<int:line_id>")
@signed_in
def change_cart(line_id: int) -> Any:
    """Change the quantity of a line of the cart, or remove it."""
    line = next(
        (each for each in rows(database(), _CART, user_id()) if each["id"] == line_id), None
    )
    line = found(line)
    most = min(line["stock"], MAX_QUANTITY)
    quantity = whole_number("quantity", 0, most)
    if "remove" in request.form or quantity == 0:
        database().execute("DELETE FROM cart_line WHERE id = ?", (line_id,))
        notify(f"{line['name']} was removed.")
    elif quantity is None:
        notify(f"Choose a quantity from 0 to {most} for {line['name']}.")
    else:
        database().execute("UPDATE cart_line SET quantity = ? WHERE id = ?", (quantity, line_id))
        notify(f"The quantity of {line['name']} is now {quantity}.")
    return back_to("shop.cart")


@views.route("/checkout", methods=["GET", "POST"])
@signed_in
def checkout() -> Any:
    """Choose address and delivery and place the order."""
    lines = rows(database(), _CART, user_id())
    if not lines:
        notify("Your cart is empty.")
        return back_to("shop.cart")
    addresses = own_addresses()
    if request.method == "GET":
        return render_template(
            "shop/checkout.html", lines=lines, addresses=addresses, deliveries=DELIVERIES
        )
    chosen = whole_number("address", 1, 10**9)
    address = next((each for each in addresses if each["id"] == chosen), None)
    delivery = request.form.get("delivery", "")
    if address is None or delivery not in DELIVERIES:
        notify("Choose an address and a way of delivery.")
        return back_to("shop.checkout")
    short = next((line for line in lines if line["quantity"] > line["stock"]), None)
    if short is not None:
        notify(f"Only {short['stock']} of {short['name']} are left.")
        return back_to("shop.cart")
    purchase_id = _place(lines, address, delivery)
    notify("Thank you, your order was placed.")
    return back_to("shop.account.purchase", purchase_id=purchase_id)


def _place(lines: list[sqlite3.Row], address: sqlite3.Row, delivery: str) -> int:
    purchase_id = insert(
        database(),
        "purchase",
        user_id=user_id(),
        placed_at=now(),
        status="processing",
        delivery=delivery,
        address_id=address["id"],
        ship_to=ship_to(address),
        shipping_cents=DELIVERIES[delivery],
        total_cents=DELIVERIES[delivery] + sum(line["sum_cents"] for line in lines),
    )
    for line in lines:
        insert(
            database(),
            "purchase_line",
            purchase_id=purchase_id,
            variant_id=line["variant_id"],
            quantity=line["quantity"],
            unit_cents=line["price_cents"],
        )
        database().execute(
            "UPDATE variant SET stock = stock - ? WHERE id = ?",
            (line["quantity"], line["variant_id"]),
        )
    database().execute("DELETE FROM cart_line WHERE user_id = ?", (user_id(),))
    return purchase_id
