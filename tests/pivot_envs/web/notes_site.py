"""A site of one's own in the smallest form: notes, kept by a server of the standard library."""

import html
import json
import threading
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from pivot_envs.snapshot import sha256
from pivot_envs.web.suite import PageState, Start, Suite, Verdict

HOST = "notes.test"


class Handler(BaseHTTPRequestHandler):
    """Shows notes, adds one, and answers a script."""

    protocol_version = "HTTP/1.1"
    server: "NotesServer"

    def do_GET(self) -> None:
        if self.headers["Host"] != HOST:
            self.reply(b"no such host", status=403)
            return
        path = urllib.parse.urlsplit(self.path).path
        pages = self.server.pages
        if path in pages:
            self.reply(pages[path].encode())
        elif path == "/count":
            self.reply(str(len(self.server.notes)).encode(), kind="text/plain")
        elif path == "/away":
            self.reply(b"", status=302, location="http://outside.test/")
        else:
            self.reply(self.index().encode())

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        form = urllib.parse.parse_qs(self.rfile.read(length).decode())
        self.server.notes += form.get("text", [])
        self.reply(b"", status=303, location=f"http://{HOST}/")

    def index(self) -> str:
        items = "".join(f"<li>{html.escape(note)}</li>" for note in self.server.notes)
        return f"""<!DOCTYPE html><title>Notes</title><h1>Notes</h1><ul>{items}</ul>
            <form method="post" action="/add"><label>Note <input name="text"></label>
            <button>Add</button></form>
            <p id="count"></p><button type="button" id="ask">Count</button>
            <a href="/help">Help</a>
            <script>document.getElementById('ask').addEventListener('click', async () => {{
              const reply = await fetch('/count');
              document.getElementById('count').textContent = 'count: ' + await reply.text();
            }});</script>"""

    def reply(
        self, body: bytes, status: int = 200, kind: str = "text/html", location: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", f"seen={len(self.server.notes)}")
        if location:
            self.send_header("Location", location)
        self.end_headers()
        if kind == "text/plain":
            # The head of an answer arrives before its body; a turn waits for both.
            self.wfile.flush()
            time.sleep(0.05)
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class NotesServer(ThreadingHTTPServer):
    """The notes of one environment."""

    daemon_threads = True

    def __init__(self, pages: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.notes: list[str] = []
        self.pages = {"/help": "<title>Help</title><p>Write a note.</p>", **pages}
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class NotesSuite(Suite):
    """Add the note that is asked for, once."""

    name = "notes"
    tools = ("goto", "back", "answer")
    viewport = (640, 480)
    pages: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.server: NotesServer | None = None

    def templates(self) -> Sequence[str]:
        return ("add-note",)

    def begin(self, template: str, seed: int) -> Start:
        server = self._server()
        server.notes = ["first", f"second {seed}"]
        return Start(
            f"http://{HOST}/", f"Add the note {seed}.", server=("127.0.0.1", server.server_port)
        )

    def grade(self, page: PageState, answer: str | None) -> Verdict:
        is_right = self._server().notes[2:] == ["wanted"]
        return Verdict(float(is_right and answer is not None), terminated=answer is not None)

    def save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        notes = json.dumps(self._server().notes).encode()
        return {"notes": sha256(notes)}, {sha256(notes): notes}

    def load(
        self, template: str, seed: int, state: Mapping[str, Any], blobs: Mapping[str, bytes]
    ) -> Start:
        start = self.begin(template, seed)
        self._server().notes = json.loads(blobs[state["notes"]])
        return start

    def digest(self) -> str:
        return sha256(json.dumps(self._server().notes).encode())

    def close(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def _server(self) -> NotesServer:
        if self.server is None:
            self.server = NotesServer(self.pages)
        return self.server
