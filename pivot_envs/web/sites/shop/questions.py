"""Tasks of the shop that ask something."""

import sqlite3

from pivot_envs.web.sites.database import rows
from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.script import Choose, Click, Fill, Finish, Visit
from pivot_envs.web.sites.shop.world import CUSTOMER_ID
from pivot_envs.web.sites.task import SiteTask
from pivot_envs.web.sites.wording import day, money


def cheapest(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Find the cheapest well liked product of a kind."""
    liked = rows(
        world,
        "SELECT kind, product.name, price_cents, category.name AS category FROM product "
        "JOIN category ON category.id = category_id WHERE (SELECT avg(stars) FROM review "
        "WHERE product_id = product.id) >= 3 ORDER BY kind, price_cents, product.name",
    )
    by_kind: dict[str, list[sqlite3.Row]] = {}
    for product in liked:
        by_kind.setdefault(product["kind"], []).append(product)
    clear = [
        each
        for each in by_kind.values()
        if len(each) > 1 and each[0]["price_cents"] < each[1]["price_cents"]
    ]
    best = draw.choice(clear)[0]
    kind = best["kind"].lower()
    goal = draw.choice(
        (
            f"Which is the cheapest {kind} with 3 stars or more? Answer with its full name.",
            f"I look for a {kind} that has at least 3 stars. Name the one with the lowest price.",
        )
    )
    filters = (Choose("Stars", "3 or more"), Choose("Sort by", "Price, lowest first"))
    return SiteTask(
        goal,
        lambda outcome: outcome.answers(best["name"]) and outcome.touches_only(),
        (
            (Click("All products"), Fill("Search", best["kind"]), *filters, Click("Apply"),
             Finish(best["name"])),
            (Click(best["category"]), Choose("Stars", "3 or more"), Click("Apply"),
             Fill("Search", best["kind"]), Choose("Sort by", "Price, lowest first"),
             Click("Apply"), Click(best["name"]), Finish(best["name"])),
        ),
        CUSTOMER_ID,
    )  # fmt: skip


def total(world: sqlite3.Connection, draw: Draw) -> SiteTask:
    """Look up what an order cost."""
    own = rows(
        world,
        "SELECT * FROM purchase WHERE user_id = ? AND status != 'cancelled' ORDER BY id",
        CUSTOMER_ID,
    )
    days = [each["placed_at"][:10] for each in own]
    order = draw.choice([each for each in own if days.count(each["placed_at"][:10]) == 1])
    goal = draw.choice(
        (
            f"How much did I pay in total for the order that I placed on {day(order['placed_at'])}?"
            " Answer with the amount.",
            f"What was the total, delivery included, of my order of {day(order['placed_at'])}?",
        )
    )
    answer = money(order["total_cents"])
    short = answer.removesuffix(".00")
    return SiteTask(
        goal,
        lambda outcome: outcome.answers(answer, short) and outcome.touches_only(),
        (
            (Click("Orders"), Click(f"Order {order['id']}"), Finish(answer)),
            (Visit(f"/orders/{order['id']}"), Finish(answer)),
        ),
        CUSTOMER_ID,
    )
