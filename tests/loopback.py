"""An HTTP server on loopback, for tests that are to meet a real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar


class Loopback(ThreadingHTTPServer):
    """Answers each request in a thread of its own.

    Attributes:
        ended: set when the test is over, for answers that are not to come before.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of the test."""


class Quiet:
    """Answers that keep the connection, and print nothing on the terminal of the tests."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: Any) -> None:
        """Nothing."""


S = TypeVar("S", bound=Loopback)


@contextmanager
def while_it_serves(server: S) -> Iterator[S]:
    """The server at work while the block lasts."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
