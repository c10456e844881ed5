"""A program of others in small: a guest book in one file. Run as ``guestbook.py FOLDER PORT``."""

import html
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

book = Path(sys.argv[1]) / "book.txt"


class Handler(BaseHTTPRequestHandler):
    """Shows the book and writes into it."""

    def do_GET(self):
        names = "".join(f"<li>{html.escape(line)}</li>" for line in book.read_text().splitlines())
        self.reply(
            f"<!DOCTYPE html><title>Guests</title><h1>Guests</h1><ul>{names}</ul>"
            '<form method="post"><label>Name <input name="name"></label>'
            "<button>Sign</button></form>"
        )

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        form = urllib.parse.parse_qs(self.rfile.read(length).decode())
        with book.open("a") as file:
            file.write(f"{form['name'][0]}\n")
        self.send_response(303)
        self.send_header("Location", "/")
        self.end_headers()

    def reply(self, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(text.encode())


HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
