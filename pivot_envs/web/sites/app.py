"""What the pages of all sites share: the database, signing in, notices, paging."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Response as BaseResponse

from pivot_envs.web.sites.database import SESSION_COOKIE, open_session, row, rows, value
from pivot_envs.web.sites.wording import day, money

P = ParamSpec("P")

SITE_NAMES = ("shop", "tracker", "mail")

accounts = Blueprint("accounts", __name__)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a longer list."""

    items: list[sqlite3.Row]
    number: int
    """1-based."""
    count: int
    """Number of pages, at least 1."""
    total: int
    """Number of items on all pages."""


def make_app(site: str, database: sqlite3.Connection) -> Flask:
    """Return the application of a site, which works on ``database``.

    Requests must come one at a time: all share the connection.
    """
    views: Blueprint = import_module(f"pivot_envs.web.sites.{site}.views").views
    app = Flask(__name__, static_folder=None)
    app.config.update(DATABASE=database, SITE=site)
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(money=money, day=day, zip=zip)
    app.jinja_env.globals.update(asked=asked, with_query=with_query)
    app.register_blueprint(accounts)
    app.register_blueprint(views)
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_undo)
    app.register_error_handler(HTTPException, _explain)
    # SQLite has no number that is so large, hence no row with it.
    app.register_error_handler(OverflowError, lambda _: _explain(NotFound()))
    return app


def database() -> sqlite3.Connection:
    """Return the database of the current request."""
    connection: sqlite3.Connection = g.database
    return connection


def now() -> str:
    """Return the site's date and time, such as ``2026-03-05 09:30``; it stands still."""
    return str(value(database(), "SELECT now FROM clock"))


def user_id() -> int:
    """Return who is signed in; 0 for nobody."""
    return 0 if g.user is None else int(g.user["id"])


def signed_in(view: Callable[P, Any]) -> Callable[P, Any]:
    """Ask for a login before the view."""

    @wraps(view)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
        if g.user is None:
            return redirect(url_for("accounts.login", next=request.full_path.rstrip("?")))
        return view(*args, **kwargs)

    return wrapper


def notify(text: str) -> None:
    """Show a notice on the next page."""
    database().execute("UPDATE session SET notice = ? WHERE token = ?", (text, g.token))


def back_to(endpoint: str, **values: Any) -> BaseResponse:
    """Answer a form with a redirect to a page."""
    return redirect(url_for(endpoint, **values), 303)


def found(item: sqlite3.Row | None) -> sqlite3.Row:
    """Return the item, or answer with 404 where there is none."""
    if item is None:
        abort(404)
    return item


def whole_number(name: str, low: int, high: int) -> int | None:
    """Read a number from the form; ``None`` if it is none or out of range."""
    text = request.form.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        return None
    return int(text) if low <= int(text) <= high else None


def paged(query: str, values: list[Any], size: int) -> Page:
    """Run a query and return the page that the address asks for with ``page=``."""
    total = value(database(), f"SELECT count(*) FROM ({query})", *values)
    count = max(1, -(-total // size))
    wanted = request.args.get("page", "1")
    number = min(int(wanted), count) if wanted.isdigit() and len(wanted) < 5 else 1
    number = max(1, number)
    limit = f"{query} LIMIT {size} OFFSET {(number - 1) * size}"
    return Page(rows(database(), limit, *values), number, count, total)


def like(text: str) -> str:
    """Return a LIKE pattern (with ESCAPE ``!``) for text that contains this one."""
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return f"%{text}%"


def asked(name: str) -> str:
    """Return a parameter of the current address; empty if it has none."""
    return request.args.get(name, "")


def with_query(**changed: Any) -> str:
    """Return the current address with some parameters of its query replaced."""
    values = {key: text for key, text in request.args.items() if text} | changed
    return url_for(request.endpoint or "", **(request.view_args or {}), **values)


@accounts.route("/login", methods=["GET", "POST"])
def login() -> Any:
    """Sign in with a user name and a password."""
    target = request.values.get("next", "/")
    # An address such as //elsewhere or /\elsewhere leads to another host.
    if not target.startswith("/") or target[1:2] in ("/", "\\"):
        target = "/"
    if request.method == "GET":
        return render_template("login.html", target=target, username="", error="")
    username = request.form.get("username", "").strip()
    user = row(database(), "SELECT * FROM user WHERE username = ?", username.lower())
    if user is None or user["password"] != request.form.get("password", ""):
        error = "The user name or the password is wrong."
        return render_template("login.html", target=target, username=username, error=error), 403
    answer = redirect(target, 303)
    answer.set_cookie(
        SESSION_COOKIE, open_session(database(), user["id"]), httponly=True, samesite="Lax"
    )
    return answer


@accounts.post("/logout")
def logout() -> Any:
    """End the session."""
    database().execute("DELETE FROM session WHERE token = ?", (g.token,))
    answer = back_to("accounts.login")
    answer.delete_cookie(SESSION_COOKIE)
    return answer


def _begin() -> None:
    g.database = current_app.config["DATABASE"]
    g.site = current_app.config["SITE"]
    g.database.execute("BEGIN")
    g.token = request.cookies.get(SESSION_COOKIE, "")
    session = row(g.database, "SELECT * FROM session WHERE token = ?", g.token)
    g.user, g.notice = None, ""
    if session is None:
        return
    g.user = row(g.database, "SELECT * FROM user WHERE id = ?", session["user_id"])
    if request.method == "GET" and session["notice"]:
        g.notice = session["notice"]
        g.database.execute("UPDATE session SET notice = '' WHERE token = ?", (g.token,))


def _end(response: Response) -> Response:
    if g.database.in_transaction:
        # What is refused half-way leaves no trace.
        g.database.execute("COMMIT" if response.status_code < 400 else "ROLLBACK")
    response.headers["Cache-Control"] = "no-store"
    return response


def _undo(error: BaseException | None) -> None:
    if g.database.in_transaction:
        g.database.execute("ROLLBACK")


def _explain(error: HTTPException) -> Any:
    return render_template("error.html", error=error), error.code
