"""Whatever is done on a site, its saved database goes on as the site itself does."""

import functools

import pytest

pytest.importorskip("flask", reason="the sites need Flask: pip install 'pivotrl-envs[web]'")

from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot_envs.web.sites import mail, shop, tracker
from pivot_envs.web.sites.app import make_app
from pivot_envs.web.sites.database import content_digest, open_database, open_session

WORLDS = {"shop": shop.make_world, "tracker": tracker.make_world, "mail": mail.make_world}

numbers = st.integers(-1, 140).map(str)
texts = st.sampled_from(["", "7", "Ünïcode <b>", "a@b.example", "open", "closed", "fixed", "low"])
FORMS = {
    "shop": st.one_of(
        st.tuples(
            st.just("/cart"), st.fixed_dictionaries({"variant": numbers, "quantity": numbers})
        ),
        st.tuples(st.integers(1, 3).map("/cart/{}".format), st.just({"quantity": "2"})),
        st.tuples(st.just("/checkout"), st.just({"address": "2", "delivery": "express"})),
        st.tuples(st.integers(20311, 20402).map("/orders/{}/cancel".format), st.just({})),
        st.tuples(
            st.sampled_from(["/addresses/new", "/addresses/2", "/addresses/3/delete"]),
            st.fixed_dictionaries(
                {
                    "label": texts,
                    "street": texts,
                    "postcode": texts,
                    "city": texts,
                    "is_default": texts,
                }
            ),
        ),
    ),
    "tracker": st.one_of(
        st.tuples(
            st.integers(100, 136).map("/PAY/{}".format),
            st.fixed_dictionaries(
                {"status": texts, "resolution": texts, "priority": texts, "assignee": numbers}
            ),
        ),
        st.tuples(st.just("/PAY/101/comment"), st.fixed_dictionaries({"comment": texts})),
        st.tuples(st.just("/PAY/new"), st.just({"title": "New", "kind": "bug", "priority": "low"})),
        st.tuples(
            st.integers(1, 9).map("/PAY/people/{}".format),
            st.sampled_from([{"role": "viewer"}, {"remove": "1"}]),
        ),
        st.tuples(st.just("/PAY/bulk"), st.just({"ticket": ["101", "103"], "status": "closed"})),
    ),
    "mail": st.one_of(
        st.tuples(
            st.integers(1, 151).map("/message/{}".format),
            st.sampled_from([{"action": each} for each in ("star", "delete", "move-4", "unread")]),
        ),
        st.tuples(st.just("/write"), st.fixed_dictionaries({"recipients": texts, "body": texts})),
        st.tuples(st.just("/folders/new"), st.fixed_dictionaries({"name": texts})),
        st.tuples(st.just("/contacts/4/delete"), st.just({})),
    ),
}
PAGES = {
    "shop": ("/cart", "/orders", "/addresses", "/products"),
    "tracker": ("/", "/PAY", "/PAY/101", "/PAY/people"),
    "mail": ("/folder/1", "/folder/3", "/folder/5", "/contacts"),
}


@functools.cache
def beginning(site: str) -> tuple[bytes, str]:
    """Return a new database with somebody signed in, and the session's cookie."""
    world = WORLDS[site](3)
    token = open_session(world, 2 if site == "shop" else 1)
    return world.serialize(), token


@functools.cache
def applications(site: str):
    """Return two applications, with their databases."""
    databases = open_database(), open_database()
    return [(make_app(site, database), database) for database in databases]


def send(client: FlaskClient, path: str, form: dict) -> tuple[int, bytes]:
    """Send a form; return the answer."""
    answer = client.post(path, data=form)
    return answer.status_code, answer.data


@pytest.mark.parametrize("site", list(WORLDS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_site_goes_on_from_its_saved_database_as_it_would_have(site: str, data) -> None:
    content, token = beginning(site)
    (app, database), (other_app, other_database) = applications(site)
    database.deserialize(content)
    client, other = app.test_client(), other_app.test_client()
    for each in (client, other):
        each.set_cookie("session", token)
    for path, form in data.draw(st.lists(FORMS[site], max_size=8)):
        assert send(client, path, form)[0] < 500
    saved = database.serialize()
    other_database.deserialize(saved)
    assert other_database.serialize() == saved
    for path, form in data.draw(st.lists(FORMS[site], min_size=1, max_size=4)):
        assert send(client, path, form) == send(other, path, form)
    for path in PAGES[site]:
        assert client.get(path).data == other.get(path).data
    assert content_digest(database) == content_digest(other_database)


@pytest.mark.parametrize(
    ("changes", "status"),
    [({}, 303), ({"resolution": "7"}, 400), ({"status": "7"}, 400), ({"priority": "7"}, 400)],
)
def test_a_ticket_takes_only_values_that_its_page_offers(changes: dict, status: int) -> None:
    content, token = beginning("tracker")
    (app, database), _ = applications("tracker")
    database.deserialize(content)
    client = app.test_client()
    client.set_cookie("session", token)
    form = {"status": "open", "resolution": "", "priority": "low", "assignee": "0", **changes}
    assert send(client, "/PAY/101", form)[0] == status
