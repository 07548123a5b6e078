"""A webhook on loopback: keeps what is posted to it, and answers as it is told, or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WebhookServer(ThreadingHTTPServer):
    """``answers`` are the statuses of the next requests, 0 for none at all; after them all are taken.

    ``got`` are the requests in order: path, headers by lower-case name, and the JSON that came.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, answers: tuple[int, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.always_silent = answers == (0,)
        self.got: list[tuple[str, dict[str, str], Any]] = []
        self.over = threading.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def codes(self) -> list[str]:
        """The codes of the notices that came as plain JSON."""
        return [body["code"] for _path, _headers, body in self.got]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of the test."""


class _Handler(BaseHTTPRequestHandler):
    server: WebhookServer

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.got.append((self.path, headers, json.loads(data)))
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status == 0 or self.server.always_silent:
            self.server.over.wait(120)
            return
        self.send_response(status)
        if status in (301, 302, 307):
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing is printed."""


@contextmanager
def serving(*answers: int) -> Iterator[WebhookServer]:
    """A server for as long as the block lasts."""
    server = WebhookServer(answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
