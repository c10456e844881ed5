"""The shop's database: its tables and what they are filled with."""

import sqlite3
from datetime import datetime, timedelta

from pivot_envs.web.sites.database import COMMON_SCHEMA, insert, open_database, rows
from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.people import (
    Person,
    draw_password,
    draw_people,
    draw_place,
    draw_street,
)
from pivot_envs.web.sites.shop.catalogue import CATALOGUE, COMPLAINTS, MAKERS, PRAISE, Kind

SCHEMA = f"""
{COMMON_SCHEMA}
CREATE TABLE user (
    id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    password TEXT NOT NULL, role TEXT NOT NULL CHECK (role IN ('customer', 'staff'))
);
CREATE TABLE address (
    id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES user, label TEXT NOT NULL,
    street TEXT NOT NULL, postcode TEXT NOT NULL, city TEXT NOT NULL,
    is_default INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE category (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE product (
    id INTEGER PRIMARY KEY, category_id INTEGER NOT NULL REFERENCES category,
    kind TEXT NOT NULL, name TEXT NOT NULL UNIQUE, option_name TEXT NOT NULL,
    price_cents INTEGER NOT NULL, description TEXT NOT NULL
);
CREATE TABLE variant (
    id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL REFERENCES product,
    option TEXT NOT NULL, stock INTEGER NOT NULL CHECK (stock >= 0)
);
CREATE TABLE review (
    id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL REFERENCES product,
    author TEXT NOT NULL, stars INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE TABLE cart_line (
    id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES user,
    variant_id INTEGER NOT NULL REFERENCES variant, quantity INTEGER NOT NULL
);
CREATE TABLE purchase (
    id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES user, placed_at TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('processing', 'shipped', 'delivered', 'cancelled')),
    delivery TEXT NOT NULL, address_id INTEGER NOT NULL, ship_to TEXT NOT NULL,
    shipping_cents INTEGER NOT NULL, total_cents INTEGER NOT NULL
);
CREATE TABLE purchase_line (
    id INTEGER PRIMARY KEY, purchase_id INTEGER NOT NULL REFERENCES purchase,
    variant_id INTEGER NOT NULL REFERENCES variant, quantity INTEGER NOT NULL,
    unit_cents INTEGER NOT NULL
);
CREATE INDEX variant_product ON variant (product_id);
CREATE INDEX review_product ON review (product_id);
CREATE INDEX line_purchase ON purchase_line (purchase_id);
"""

DELIVERIES = {"standard": 490, "express": 1290}
"""Price of each way of delivery, in cents."""

FIRST_PURCHASE = 20311
STAFF_ID = 1
CUSTOMER_ID = 2
"""The customer that tasks are about."""


def make_world(seed: int) -> sqlite3.Connection:
    """Return a new shop; the same seed gives the same one."""
    draw = Draw(f"shop-{seed}")
    world = open_database()
    world.executescript(SCHEMA)
    world.execute("BEGIN")
    today = datetime(2026, 3, 2, 9, 30) + timedelta(days=draw.integer(0, 240))
    insert(world, "clock", now=f"{today:%Y-%m-%d %H:%M}", secret=draw_password(draw))
    people = draw_people(draw, 12)
    _add_people(world, draw, people)
    _add_products(world, draw, people)
    _add_purchases(world, draw, today)
    world.execute("COMMIT")
    return world


def _add_people(world: sqlite3.Connection, draw: Draw, people: list[Person]) -> None:
    for index, person in enumerate(people, start=1):
        user_id = insert(
            world,
            "user",
            username=person.username,
            name=person.name,
            password=person.password,
            role="staff" if index == STAFF_ID else "customer",
        )
        labels = ["Home", "Office", "Parents"]
        for label in labels[: 3 if user_id == CUSTOMER_ID else 1]:
            postcode, city = draw_place(draw)
            insert(
                world,
                "address",
                user_id=user_id,
                label=label,
                street=draw_street(draw),
                postcode=postcode,
                city=city,
                is_default=int(label == "Home"),
            )


def _add_products(world: sqlite3.Connection, draw: Draw, people: list[Person]) -> None:
    for category, kinds in CATALOGUE.items():
        category_id = insert(world, "category", name=category)
        for kind in kinds:
            for maker in draw.sample(MAKERS, draw.integer(4, 6)):
                _add_product(world, draw, category_id, kind, maker, people)


def _add_product(
    world: sqlite3.Connection,
    draw: Draw,
    category_id: int,
    kind: Kind,
    maker: str,
    people: list[Person],
) -> None:
    product_id = insert(
        world,
        "product",
        category_id=category_id,
        kind=kind.name,
        name=f"{maker} {draw.choice(kind.styles)} {kind.name}",
        option_name=kind.option,
        price_cents=draw.integer(kind.low, kind.high) * 100 + draw.choice((0, 50, 90, 95)),
        description=f"{kind.use} Made by {maker}, with a guarantee of {draw.integer(2, 5)} years.",
    )
    options = [option for option in kind.options if len(kind.options) < 4 or draw.chance(0.6)]
    for option in options or kind.options[:2]:
        stock = 0 if draw.chance(0.1) else draw.integer(6, 60)
        insert(world, "variant", product_id=product_id, option=option, stock=stock)
    liking = draw.integer(2, 4)
    for person in draw.sample(people[2:], draw.integer(1, 4)):
        stars = min(5, liking + draw.integer(0, 2))
        body = draw.choice(PRAISE if stars > 3 else COMPLAINTS)
        insert(world, "review", product_id=product_id, author=person.name, stars=stars, body=body)


def _add_purchases(world: sqlite3.Connection, draw: Draw, today: datetime) -> None:
    variants = rows(
        world,
        "SELECT variant.id, price_cents FROM variant JOIN product ON product.id = product_id",
    )
    addresses = rows(world, "SELECT * FROM address WHERE user_id >= ? ORDER BY id", CUSTOMER_ID)
    moments = sorted(today - timedelta(minutes=draw.integer(60, 130_000)) for _ in range(90))
    for number, moment in enumerate(moments, start=FIRST_PURCHASE):
        days = (today - moment).days
        status = "delivered" if days > 12 else "shipped" if days > 6 else "processing"
        mine = [each for each in addresses if each["user_id"] == CUSTOMER_ID]
        address = draw.choice(mine if draw.chance(0.2) else addresses)
        delivery = draw.choice(tuple(DELIVERIES))
        total = DELIVERIES[delivery]
        for variant in draw.sample(variants, draw.integer(1, 3)):
            quantity = draw.integer(1, 3)
            total += quantity * variant["price_cents"]
            insert(
                world,
                "purchase_line",
                purchase_id=number,
                variant_id=variant["id"],
                quantity=quantity,
                unit_cents=variant["price_cents"],
            )
        insert(
            world,
            "purchase",
            id=number,
            user_id=address["user_id"],
            placed_at=f"{moment:%Y-%m-%d %H:%M}",
            status="cancelled" if draw.chance(0.06) else status,
            delivery=delivery,
            address_id=address["id"],
            ship_to=ship_to(address),
            shipping_cents=DELIVERIES[delivery],
            total_cents=total,
        )


def ship_to(address: sqlite3.Row) -> str:
    """Return an address as one line of text."""
    return f"{address['street']}, {address['postcode']} {address['city']}"
