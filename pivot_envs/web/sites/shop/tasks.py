"""Tasks of the shop."""

import sqlite3
from collections.abc import Mapping

from pivot_envs.web.sites.database import insert, row, rows, value
from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.people import draw_place, draw_street
from pivot_envs.web.sites.script import Choose, Click, Fill, Finish, Step, Tick, Visit
from pivot_envs.web.sites.shop.questions import cheapest, total
from pivot_envs.web.sites.shop.world import CUSTOMER_ID, DELIVERIES, STAFF_ID, ship_to
from pivot_envs.web.sites.task import Outcome, SiteTask, Template
from pivot_envs.web.sites.wording import money

_VARIANTS = """
SELECT variant.*, product.name, product.option_name, category.name AS category
FROM variant JOIN product ON product.id = product_id JOIN category ON category.id = category_id
WHERE stock > 0 ORDER BY variant.id
"""


def buy(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Order some of one product, to an address, by a way of delivery."""
    variant = draw.choice(rows(world, _VARIANTS))
    quantity = draw.integer(1, 4)
    address = draw.choice(_addresses(world))
    delivery = draw.choice(("standard", "express"))
    what = f"{quantity} x {variant['name']} ({variant['option_name'].lower()}: {variant['option']})"
    goal = draw.choice(
        (
            f"Order {what}. Have it sent to my {address['label']} address by {delivery} delivery.",
            f"I need {what}. Please buy it, with {delivery} delivery to the address that is "
            f"called {address['label']}.",
            f"Buy {what} for me and nothing else; {delivery} delivery, address {address['label']}.",
        )
    )
    searched = (
        Fill("Search products", variant["name"]),
        Click("Search"),
        Click(variant["name"]),
    )
    browsed = (Click(variant["category"]), Click(variant["name"]))
    return SiteTask(
        goal,
        lambda outcome: _is_order(outcome, {variant["id"]: quantity}, address, delivery),
        (
            (*searched, *order_steps(variant, quantity, address, delivery), Finish()),
            (*browsed, *order_steps(variant, quantity, address, delivery), Finish()),
        ),
        CUSTOMER_ID,
    )


def order_steps(
    variant: sqlite3.Row, quantity: int, address: sqlite3.Row, delivery: str
) -> tuple[Step, ...]:
    """Return the steps from a product's page to the placed order."""
    return (
        Choose(variant["option_name"], variant["option"]),
        Fill("Quantity", str(quantity)),
        Click("Add to cart"),
        Click("Go to checkout"),
        Choose("Deliver to", f"{address['label']}: {ship_to(address)}"),
        Tick(f"{delivery.capitalize()} ({money(DELIVERIES[delivery])})"),
        Click("Place order"),
    )


def _is_order(
    outcome: Outcome, wanted: dict[int, int], address: sqlite3.Row, delivery: str
) -> bool:
    orders, lines = outcome.added("purchase"), outcome.added("purchase_line")
    return (
        len(orders) == 1
        and orders[0]["user_id"] == CUSTOMER_ID
        and (orders[0]["address_id"], orders[0]["delivery"]) == (address["id"], delivery)
        and orders[0]["status"] == "processing"
        and sorted((line["variant_id"], line["quantity"]) for line in lines)
        == sorted(wanted.items())
        and outcome.is_only("purchase", added=1)
        and outcome.is_only("purchase_line", added=len(wanted))
        and set(outcome.edits("variant")) == set(wanted)
        and outcome.touches_only("purchase", "purchase_line", "variant")
    )


def cancel(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Sign in and cancel an order."""
    user = row(world, "SELECT * FROM user WHERE id = ?", CUSTOMER_ID)
    assert user is not None
    own = rows(world, "SELECT id FROM purchase WHERE user_id = ? ORDER BY id", CUSTOMER_ID)
    order_id, *others = [each["id"] for each in draw.sample(own, 3)]
    for each in (order_id, *others):
        world.execute("UPDATE purchase SET status = 'processing' WHERE id = ?", (each,))
    goal = draw.choice(
        (
            f"Cancel order {order_id}.",
            f"I no longer want what I ordered with order {order_id}; please cancel it.",
        )
    )
    login = f"Sign in as {user['username']} with the password {user['password']}."
    signed_in = (
        Click("Sign in"),
        Fill("User name", user["username"]),
        Fill("Password", user["password"]),
        Click("Sign in"),
    )
    last = (Click("Cancel this order"), Finish())
    return SiteTask(
        f"{goal} {login}",
        lambda outcome: (
            outcome.is_only("purchase", edits={order_id: {"status": "cancelled"}})
            and outcome.touches_only("purchase", "variant")
        ),
        (
            (*signed_in, Click("Orders"), Click(f"Order {order_id}"), *last),
            (*signed_in, Visit(f"/orders/{order_id}"), *last),
            (*signed_in, Click("Orders"), Choose("Status", "Processing"), Click("Apply"),
             Click(f"Order {order_id}"), *last),
        ),
    )  # fmt: skip


def tidy_cart(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Remove one line of the cart and change another."""
    chosen = draw.sample([each for each in rows(world, _VARIANTS) if each["stock"] > 5], 4)
    lines = []
    for variant in chosen:
        quantity = draw.integer(1, 3)
        line_id = insert(
            world,
            "cart_line",
            user_id=CUSTOMER_ID,
            variant_id=variant["id"],
            quantity=quantity,
        )
        lines.append((line_id, f"{variant['name']}, {variant['option']}", quantity))
    (gone, gone_name, _), (kept, kept_name, quantity), *_rest = draw.shuffled(lines)
    wanted = quantity + draw.choice((1, 2))
    goal = draw.choice(
        (
            f"Take the {gone_name} out of my cart and change the quantity of {kept_name} to "
            f"{wanted}. Do not order yet.",
            f"My cart should hold {wanted} of {kept_name} and no {gone_name}. Leave everything "
            "else in it as it is and do not place the order.",
        )
    )
    cart = Click(f"Cart ({sum(quantity for _, _, quantity in lines)})")
    remove = Click(f"Remove {gone_name}")
    change = (Fill(f"Quantity of {kept_name}", str(wanted)), Click(f"Update {kept_name}"))
    zero = (Fill(f"Quantity of {gone_name}", "0"), Click(f"Update {gone_name}"))
    return SiteTask(
        goal,
        lambda outcome: (
            outcome.is_only("cart_line", removed=1, edits={kept: {"quantity": wanted}})
            and outcome.removed("cart_line")[0]["id"] == gone
            and outcome.touches_only("cart_line")
        ),
        (
            (cart, remove, *change, Finish()),
            (cart, *change, *zero, Finish()),
        ),
        CUSTOMER_ID,
    )


def new_address(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Add an address, as the default one or not."""
    postcode, city = draw_place(draw)
    label = draw.choice(("Studio", "Cottage", "Neighbour", "Workshop"))
    written = {"label": label, "street": draw_street(draw), "postcode": postcode, "city": city}
    is_default = draw.chance(0.5)
    place = f"{written['street']}, {postcode} {city}"
    goal = draw.choice(
        (
            f"Add an address named {label}: {place}.",
            f"Please save {place} among my addresses, under the name {label}.",
        )
    )
    rest = "Make it the default." if is_default else "My default address stays as it is."
    old = value(world, "SELECT id FROM address WHERE user_id = ? AND is_default", CUSTOMER_ID)
    steps = (
        Fill("Name of the address", label),
        Fill("Street and number", written["street"]),
        Fill("Postcode", postcode),
        Fill("City", city),
        *((Tick("Use as default address"),) if is_default else ()),
        Click("Save address"),
        Finish(),
    )

    def accepts(outcome: Outcome) -> bool:
        expected = {**written, "user_id": CUSTOMER_ID, "is_default": int(is_default)}
        edits = {old: {"is_default": 0}} if is_default else {}
        return (
            outcome.is_only("address", added=1, edits=edits)
            and expected.items() <= outcome.added("address")[0].items()
            and outcome.touches_only("address")
        )

    return SiteTask(
        f"{goal} {rest}",
        accepts,
        (
            (Click("Addresses"), Click("Add an address"), *steps),
            (Visit("/addresses/new"), *steps),
        ),
        CUSTOMER_ID,
    )


def restock(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Count new goods into the stock, as one of the staff."""
    variant = draw.choice(rows(world, _VARIANTS))
    count = draw.integer(3, 30)
    wanted = variant["stock"] + count
    what = f"{variant['name']} ({variant['option_name'].lower()}: {variant['option']})"
    goal = draw.choice(
        (
            f"{count} new pieces of the {what} have arrived. Add them to the stock.",
            f"Correct the stock of the {what}: {count} more are on the shelf than it says.",
        )
    )
    label = f"Edit stock of {variant['name']}, {variant['option']}"
    steps = (Click(label), Fill("In stock", str(wanted)), Click("Save"), Finish())
    words = f"{variant['name']} {variant['option']}"
    return SiteTask(
        goal,
        lambda outcome: (
            outcome.is_only("variant", edits={variant["id"]: {"stock": wanted}})
            and outcome.touches_only("variant")
        ),
        (
            (Click("Stock"), Fill("Search", words), Click("Apply"), *steps),
            (Click("Stock"), Fill("Search", variant["name"]), Click("Apply"), *steps),
        ),
        STAFF_ID,
    )


def _addresses(world: sqlite3.Connection) -> list[sqlite3.Row]:
    return rows(world, "SELECT * FROM address WHERE user_id = ? ORDER BY id", CUSTOMER_ID)


TEMPLATES: Mapping[str, Template] = {
    "buy": buy,
    "cancel": cancel,
    "tidy-cart": tidy_cart,
    "cheapest": cheapest,
    "new-address": new_address,
    "restock": restock,
    "total": total,
}
