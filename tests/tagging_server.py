"""A server on loopback that speaks OpenAI's protocol as a test tells it to."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback import Loopback, Quiet, while_it_serves
from PIL import Image

Reply = tuple[int, bytes, dict[str, str]]


def said(text: Any, **message: Any) -> Reply:
    """An answer of the protocol with ``text`` as the model's words."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
    return 200, json.dumps({"choices": [choice]}).encode(), {"Content-Type": "application/json"}


class Server(Loopback):
    """Answers by ``reply``, which is given the number of the request and the request as JSON.

    Attributes:
        seen: the requests with their headers, in the order in which they came.
        most: how many were under way at a time.
    """

    def __init__(self, reply: Callable[[int, dict[str, Any]], Reply]) -> None:
        super().__init__(_Handler)
        self.reply = reply
        self.seen: list[dict[str, Any]] = []
        self.under_way = self.most = 0
        self.guard = threading.Lock()


class _Handler(Quiet, BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.guard:
            self.server.seen.append({"path": self.path, "headers": dict(self.headers), **body})
            number = len(self.server.seen)
            self.server.under_way += 1
            self.server.most = max(self.server.most, self.server.under_way)
        try:
            status, data, headers = self.server.reply(number, body)
        finally:
            with self.server.guard:
                self.server.under_way -= 1
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if "X-Slowly" in headers:  # a byte now and then, until the test is over
            while not self.server.ended.wait(0.05):
                self.wfile.write(b" ")
        self.wfile.write(data)

    def do_GET(self) -> None:
        with self.server.guard:
            self.server.seen.append({"path": self.path, "headers": dict(self.headers)})
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(reply: Callable[[int, dict[str, Any]], Reply]) -> Iterator[Server]:
    """A server while the block lasts."""
    server = Server(reply)
    with while_it_serves(server):
        yield server


def picture_of(body: dict[str, Any]) -> Image.Image:
    """The picture that came with a request."""
    parts = body["messages"][0]["content"]
    url = next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
    head, _comma, data = url.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def prompt_of(body: dict[str, Any]) -> str:
    """The words that came with a request."""
    return next(part["text"] for part in body["messages"][0]["content"] if part["type"] == "text")
