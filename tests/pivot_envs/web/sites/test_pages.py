"""The sites' pages, without a browser."""

import functools
import hashlib
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable

import pytest

pytest.importorskip("flask", reason="the sites need Flask: pip install 'pivotrl-envs[web]'")

from flask import Flask
from flask.testing import FlaskClient

from pivot_envs.web.sites import mail, shop, tracker
from pivot_envs.web.sites.app import SITE_NAMES, make_app
from pivot_envs.web.sites.database import open_database, open_session, rows, value

WORLDS = {"shop": shop.make_world, "tracker": tracker.make_world, "mail": mail.make_world}
PATHS = {
    "shop": (
        "/ /products /products?q=lamp&sort=cheapest&page=2 /products/7 /cart /orders /addresses "
        "/addresses/new /addresses/1 /staff/stock /staff/stock/3 /staff/orders?status=shipped"
    ),
    "tracker": (
        "/ /search?q=log /PAY /WEB?status=unclosed&sort=priority /APP/107 /OPS/people /OPS/new"
    ),
    "mail": (
        "/folder/1 /folder/4?starred=1 /search?q=invoice&bodies=1 /message/5 /write /write?reply=5 "
        "/write?forward=6 /contacts /contacts/3 /contacts/new /folders/new"
    ),
}

Visit = Callable[..., FlaskClient]


@functools.cache
def site_app(site: str) -> tuple[Flask, sqlite3.Connection]:
    """Return a site's application and the database that it works on."""
    database = open_database()
    return make_app(site, database), database


@functools.cache
def world_bytes(site: str, seed: int) -> bytes:
    """Return a new database of a site."""
    return WORLDS[site](seed).serialize()


@pytest.fixture
def visit() -> Visit:
    """Return a function that opens a site, signed in as a user or not."""

    def open_site(site: str, user_id: int | None = 1, seed: int = 3) -> FlaskClient:
        app, world = site_app(site)
        world.deserialize(world_bytes(site, seed))
        client = app.test_client()
        client.world = world
        if user_id is not None:
            client.set_cookie("session", open_session(world, user_id))
        return client

    return open_site


@pytest.mark.parametrize(
    ("site", "path"), [(site, path) for site in SITE_NAMES for path in PATHS[site].split()]
)
def test_a_page_is_whole_and_every_field_on_it_has_a_name(site: str, path: str, visit: Visit):
    answer = visit(site).get(path)
    page = answer.text
    assert answer.status_code == 200
    assert re.search(r"<h1>.+</h1>", page)
    assert "<main>" in page
    assert "<title>" in page
    assert "<script" not in page
    assert not re.search(r'(src|href)="(https?:)?//', page)
    for field in re.finditer(r'<(?:input(?! type="hidden")|select|textarea)[^>]*>', page):
        before = page[: field.start()]
        in_label = before.rfind("<label") > before.rfind("</label>")
        assert in_label or "aria-label=" in field[0], field[0]
    for table in re.findall(r"<table>.*?</table>", page, flags=re.DOTALL):
        assert "<th" in table


def test_the_same_seed_gives_the_same_pages_in_another_process(visit: Visit):
    program = """
import hashlib, sys
sys.path.insert(0, "tests/pivot_envs/web/sites")
import test_pages
print(test_pages.digest_of_pages())
"""
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == digest_of_pages()


def digest_of_pages() -> str:
    """Return a digest of all pages of all sites."""
    digest = hashlib.sha256()
    for site in SITE_NAMES:
        world = WORLDS[site](5)
        client = make_app(site, world).test_client()
        client.set_cookie("session", open_session(world, 1))
        for path in PATHS[site].split():
            digest.update(client.get(path).data)
        digest.update(world.serialize())
    return digest.hexdigest()


@pytest.mark.parametrize("site", SITE_NAMES)
def test_seeds_give_different_databases_of_hundreds_of_rows(site: str):
    worlds = [WORLDS[site](seed) for seed in range(3)]
    assert len({world.serialize() for world in worlds}) == 3
    tables = [
        name
        for (name,) in rows(
            worlds[0], "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE TABLE%'"
        )
    ]
    assert sum(value(worlds[0], f"SELECT count(*) FROM {table}") for table in tables) > 150


def test_who_is_not_signed_in_is_asked_to_and_comes_back(visit: Visit):
    client = visit("shop", None)
    answer = client.get("/orders?status=shipped")
    assert answer.headers["Location"] == "/login?next=/orders?status%3Dshipped"
    user = rows(client.world, "SELECT * FROM user WHERE id = 2")[0]
    form = {
        "username": user["username"],
        "password": user["password"],
        "next": "/orders?status=shipped",
    }
    assert client.post("/login", data=form).headers["Location"] == "/orders?status=shipped"
    assert "Sign out" in client.get("/orders").text


@pytest.mark.parametrize("target", ["//evil.example/", "/\\evil.example", "http://evil.example/"])
def test_signing_in_never_leads_to_another_host(target: str, visit: Visit):
    client = visit("mail", None)
    user = rows(client.world, "SELECT * FROM user")[0]
    form = {"username": user["username"], "password": user["password"], "next": target}
    assert client.post("/login", data=form).headers["Location"] == "/"


def test_a_wrong_password_does_not_sign_in(visit: Visit):
    client = visit("mail", None)
    answer = client.post("/login", data={"username": "nobody", "password": "x"})
    assert (answer.status_code, "is wrong" in answer.text) == (403, True)
    assert client.get("/folder/1").status_code == 302


def test_customers_do_not_see_what_is_for_the_staff_nor_others_orders(visit: Visit):
    client = visit("shop", 2)
    assert client.get("/staff/stock").status_code == 403
    assert client.post("/staff/stock/1", data={"stock": 5}).status_code == 403
    other = value(client.world, "SELECT id FROM purchase WHERE user_id != 2")
    assert client.get(f"/orders/{other}").status_code == 404
    assert client.post(f"/orders/{other}/cancel").status_code == 404


def test_an_order_is_placed_once_however_often_the_form_is_sent(visit: Visit):
    client = visit("shop", 2)
    before = value(client.world, "SELECT count(*) FROM purchase")
    stock = value(client.world, "SELECT stock FROM variant WHERE id = 9")
    client.post("/cart", data={"variant": 9, "quantity": 2})
    for _ in range(2):
        client.post("/checkout", data={"address": 2, "delivery": "express"})
    assert value(client.world, "SELECT count(*) FROM purchase") == before + 1
    assert value(client.world, "SELECT stock FROM variant WHERE id = 9") == stock - 2


def test_more_than_there_is_cannot_be_ordered(visit: Visit):
    client = visit("shop", 2)
    stock = value(client.world, "SELECT stock FROM variant WHERE id = 9")
    for quantity in (0, 21, "many", -1, stock + 1):
        client.post("/cart", data={"variant": 9, "quantity": quantity})
    assert value(client.world, "SELECT count(*) FROM cart_line") == 0


def test_viewers_of_a_project_comment_but_do_not_change_tickets(visit: Visit):
    viewer = value(
        tracker.make_world(3), "SELECT user_id FROM member WHERE role = 'viewer' AND project_id = 1"
    )
    client = visit("tracker", viewer)
    form = {"status": "open", "priority": "low", "resolution": ""}
    assert client.post("/PAY/101", data=form).status_code == 403
    assert (
        client.post("/PAY/101/comment", data={"comment": "Me too", "close": 1}).status_code == 403
    )
    assert client.post("/PAY/101/comment", data={"comment": "Me too"}).status_code == 303
    assert client.post("/PAY/people", data={"user": 1, "role": "viewer"}).status_code == 403
    comments = "SELECT count(*) FROM comment WHERE body = 'Me too'"
    assert value(client.world, comments) == 1


def test_mail_without_a_good_address_is_kept_as_a_draft(visit: Visit):
    client = visit("mail")
    answer = client.post("/write", data={"recipients": "a@b.example, nonsense", "body": "Hello"})
    assert "draft=" in answer.headers["Location"]
    page = client.get(answer.headers["Location"]).text
    assert "nonsense is no e-mail address" in page
    assert "Hello" in page


@pytest.mark.parametrize(
    ("site", "path"),
    [
        *(
            ("shop", path)
            for path in ("/products?page=x", "/products?category=99999999999999999999")
        ),
        *(("tracker", path) for path in ("/PAY?assignee=99999999999999999999", "/PAY?page=-1")),
        *(("mail", path) for path in ("/search?q=%25%27%22", "/folder/1?page=999999999")),
    ],
)
def test_odd_addresses_are_answered(site: str, path: str, visit: Visit):
    assert visit(site).get(path).status_code == 200


@pytest.mark.parametrize("path", ["/nowhere", "/products/999999", "/orders/99999999999999999999"])
def test_what_does_not_exist_is_answered_with_404(path: str, visit: Visit):
    answer = visit("shop").get(path)
    assert answer.status_code == 404
    assert "<h1>Not Found</h1>" in answer.text
